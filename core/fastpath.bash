# SPDX-License-Identifier: BSD-3-Clause
#
# Completion for bash: the words are those of --help, so that there is one list of them.

_fastpath() {
	local program=$1 current=$2 previous=$3 words help
	[[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
	[[ $current == = ]] && current=
	help=$("$program" --help 2>/dev/null) || return 0
	case $previous in
	--device)
		if [[ ${program##*/} == fastpath-vmm ]]; then
			words=vfio-user,socket=
		else
			words=$(awk '/^Devices and their keys/ { on = 1 } on && /^  [a-z]/ && !/every device/ { print $1 }' \
				<<<"$help")
		fi
		compopt -o nospace
		;;
	--log-level)
		words='error warn info debug'
		;;
	*)
		words=$(grep -o -- '--[a-z][a-z-]*' <<<"$help" | sort -u)
		# Commands, if the program has any: two blanks and a word that starts with a letter.
		[[ $COMP_CWORD == 1 && $help == *COMMAND* ]] &&
			words+=" $(awk '/^  [a-z]+( |$)/ { print $1 }' <<<"$help")"
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -o bashdefault -o default -F _fastpath fastpathd fastpathctl fastpath-vmm fastpath-bench
