/* SPDX-License-Identifier: BSD-3-Clause */
#include "html.h"

/*
 * Colours are told apart by the colour-blind too (after Okabe and Ito), and dark ones have others of
 * the same kind. Paper is always light.
 */
#define LIGHT                                                                                 \
	"--fg:#1b1f24;--bg:#fff;--dim:#59636e;--rule:#d1d9e0;--faint:#c9d0d8;--card:#f6f8fa;" \
	"--k0:#8c959f;--k1:#c4500c;--k2:#8250a8;--k3:#007a5e;--k4:#0969b8;--k5:#a0690a;"      \
	"--k6:#b3357f;--notify:#1b1f24;"
#define DARK                                                                                     \
	"--fg:#e6edf3;--bg:#0f1318;--dim:#9aa5b1;--rule:#30363d;--faint:#3d444d;--card:#171c22;" \
	"--k0:#7d8590;--k1:#f0883e;--k2:#c297eb;--k3:#3fc79a;--k4:#58a6ff;--k5:#e3b341;"         \
	"--k6:#f285b9;--notify:#e6edf3;"

const char html_style[] =
	":root{color-scheme:light dark;" LIGHT "}\n"
	"@media (prefers-color-scheme:dark){:root{" DARK "}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0 auto;padding:1.2rem;max-width:74rem;background:var(--bg);color:var(--fg);"
	"font:1rem/1.5 system-ui,sans-serif}\n"
	"h1{font-size:1.6rem;line-height:1.25;margin:0 0 .3rem}\n"
	"h2{font-size:1.2rem;margin:2.2rem 0 .3rem;border-bottom:1px solid var(--rule)}\n"
	"p{margin:.4rem 0;max-width:46rem}\n"
	".dim,footer{color:var(--dim);font-size:.9rem}\n"
	/* what it comes to */
	".tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0;padding:0;list-style:none}\n"
	".tiles li{flex:1 1 15rem;background:var(--card);border:1px solid var(--rule);"
	"border-radius:.5rem;padding:.7rem 1rem}\n"
	".tiles b{display:block;font-size:1.9rem;line-height:1.2}\n"
	".findings{padding-left:1.2rem;max-width:46rem}\n"
	/* bars */
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
	".bars{width:100%;margin:.6rem 0}\n"
	".bars th,.bars td{padding:.1rem .3rem;font-weight:normal;vertical-align:middle}\n"
	".bars thead th{color:var(--dim);font-size:.85rem;text-align:right}\n"
	".bars .name{text-align:left;white-space:nowrap;width:1%}\n"
	".bars .bar{width:auto;min-width:8rem}\n"
	".bars .value{text-align:right;white-space:nowrap;width:5rem;font-size:.9rem}\n"
	".bars .main{font-weight:600}\n"
	".bars .group th{text-align:left;font-weight:600;padding-top:.8rem}\n"
	".skipped,.skipped .why{color:var(--dim);font-size:.9rem}\n"
	"svg{display:block;overflow:visible;font-size:11px}\n"
	/* also in what <use> copies, which has no ancestors */
	"text{fill:var(--dim);font-family:system-ui,sans-serif}\n"
	".grid{stroke:var(--rule);stroke-width:1}.zero{stroke:var(--dim);stroke-width:1}\n"
	".notify{fill:var(--notify)}.client{fill:var(--k4)}.server{fill:var(--k1)}\n"
	".k0{fill:var(--k0)}.k1{fill:var(--k1)}.k2{fill:var(--k2)}.k3{fill:var(--k3)}"
	".k4{fill:var(--k4)}.k5{fill:var(--k5)}.k6{fill:var(--k6)}\n"
	".interval{stroke:var(--fg);stroke-width:2}\n"
	".legend{display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.3rem 0;padding:0;list-style:none;"
	"font-size:.9rem}\n"
	".legend li{display:flex;align-items:center;gap:.4rem}\n"
	/* lines */
	".common{position:absolute}\n"
	".panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(19rem,1fr));gap:1rem 1.2rem}\n"
	"figure{margin:0;break-inside:avoid;display:flex;flex-direction:column;"
	"justify-content:space-between}\n"
	"figcaption .legend{font-size:.8rem;gap:0 .7rem;margin:0}\n"
	".chart{width:100%;height:auto}\n"
	".line{fill:none;stroke-width:2;stroke-linejoin:round}.dashed{stroke-dasharray:5 3}\n"
	".others{fill:none;stroke:var(--faint);stroke-width:.7;opacity:.6}\n"
	".c0{stroke:var(--k1)}.c1{stroke:var(--k3)}.c2{stroke:var(--k4)}.c3{stroke:var(--k6)}"
	".c4{stroke:var(--k5)}.c5{stroke:var(--k2)}\n"
	".line.k0{stroke:var(--k0)}.line.k1{stroke:var(--k1)}.line.k2{stroke:var(--k2)}"
	".line.k3{stroke:var(--k3)}.line.k4{stroke:var(--k4)}.line.k5{stroke:var(--k5)}"
	".line.k6{stroke:var(--k6)}\n"
	/* numbers */
	".wide{overflow-x:auto}\n"
	".numbers{font-size:.8rem;white-space:nowrap}\n"
	".numbers th,.numbers td{padding:.15rem .4rem;text-align:right;border-bottom:1px solid var(--rule)}\n"
	".numbers th[scope=row],.numbers .text{text-align:left;font-weight:normal}\n"
	".numbers thead{color:var(--dim)}.numbers th[scope=colgroup]{text-align:center}\n"
	".machine{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.6rem 0}\n"
	".machine dt{color:var(--dim)}.machine dd{margin:0;overflow-wrap:anywhere}\n"
	"pre{background:var(--card);border:1px solid var(--rule);border-radius:.4rem;padding:.6rem .8rem;"
	"white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}\n"
	"@media (max-width:42rem){\n"
	"body{padding:.8rem}\n"
	".bars:not(.ratios) tr:not(.group){display:grid;grid-template-columns:1fr auto auto auto;"
	"align-items:baseline}\n"
	".bars .bar{grid-column:1/-1;grid-row:2;min-width:0}\n"
	".bars .value{width:4.2rem}\n"
	".bars thead th{width:4.2rem}.bars thead .name,.bars .name{width:auto;white-space:normal}\n"
	".bars .why{grid-column:1/-1}\n"
	".ratios .name{white-space:normal}.ratios .bar{min-width:4.5rem}\n"
	"}\n"
	"@media print{:root{" LIGHT "}html{font-size:9.5pt}body{max-width:none;padding:0}\n"
	"h2,section>p,thead{break-after:avoid}tr{break-inside:avoid}.wide{overflow:visible}\n"
	".numbers{font-size:6.2pt}.numbers th,.numbers td{padding:.1rem .2rem}\n"
	".panels{grid-template-columns:repeat(3,1fr)}\n"
	"rect,line,circle{print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n";
