# SPDX-License-Identifier: BSD-3-Clause
#
# Completion for bash: the words are those of --help, so that there is one list of them.

_fastpath() {
	local program=$1 current=$2 previous=$3 words help commands
	[[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
	[[ $current == = ]] && current=
	help=$("$program" --help 2>/dev/null) || return 0
	# fastpath-bench's commands have options of their own: "fastpath-bench rtt|throughput ...".
	commands=$(sed -n 's/^ *fastpath-bench \([a-z|]*\) .*/\1/p' <<<"$help")
	if [[ $COMP_CWORD -gt 1 && -n $commands && "|$commands|" == *"|${COMP_WORDS[1]}|"* ]]; then
		help=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null) || return 0
	fi
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
	--color)
		words='auto always never'
		;;
	*)
		words=$(grep -o -- '--[a-z][a-z-]*' <<<"$help" | sort -u)
		# Commands, if the program has any: two blanks and a word that starts with a letter.
		[[ $COMP_CWORD == 1 && $help == *COMMAND* ]] &&
			words+=" $(awk '/^  [a-z]+( |$)/ { print $1 }' <<<"$help")"
		[[ $COMP_CWORD == 1 ]] && words+=" ${commands//|/ }"
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -o bashdefault -o default -F _fastpath fastpathd fastpathctl fastpath-vmm fastpath-bench
