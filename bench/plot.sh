#!/bin/sh
# plot.sh [ROWS.csv [OUT.svg]] -- draws bench/results/peers.csv as docs/speed.svg: of each work the newest row of the machine that
# was measured last, best against best, our bar above the peer's; a pair is as long as its longer bar.  Readable on light and dark.
cd "$(dirname "$0")/.." || exit 1
rows=${1:-bench/results/peers.csv} out=${2:-docs/speed.svg}
[ -f "$rows" ] || { echo "no $rows: make peers writes it" >&2 && exit 1; }
awk -F, '
    function escaped(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s); return s }
    function text(x, y, class, s) { printf "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, escaped(s) }
    function bar(y, class, share) { printf "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\" class=\"%s\"/>\n", LEFT, y, share * LONGEST, THICK, class }
    function is_less(unit) { return unit == "s" || unit == "MiB" }
    function figure(v, s) {                                  # three digits or more, thousands apart
        s = sprintf(v >= 100 ? "%.0f" : v >= 10 ? "%.1f" : v >= 1 ? "%.2f" : "%.3f", v)
        while (match(s, /[0-9][0-9][0-9][0-9]+(,|$)/) && s !~ /\./) s = substr(s, 1, RSTART - 1) commas(substr(s, RSTART, RLENGTH)) substr(s, RSTART + RLENGTH)
        return s
    }
    function commas(s) { match(s, /[0-9]+/); return substr(s, 1, RLENGTH - 3) "," substr(s, RLENGTH - 2) }
    function named(s) {                                      # "torch 2.13.0+cpu eager" is PyTorch 2.13.0 eager
        sub(/^torch/, "PyTorch", s)
        sub(/\+[a-z0-9.]+/, "", s)
        sub(/ \(.*\)/, "", s)
        return s
    }
    function pair(w, y, most) {
        most = ours[w] > theirs[w] ? ours[w] : theirs[w]
        text(LEFT - 12, y + THICK + 5, "work", w)
        bar(y, "ours", ours[w] / most)
        bar(y + THICK + 2, "theirs", theirs[w] / most)
        text(LEFT + ours[w] / most * LONGEST + 6, y + THICK - 2, "figure", "nib  " figure(ours[w]) " " unit[w])
        text(LEFT + theirs[w] / most * LONGEST + 6, y + 2 * THICK, "figure faint", named(peer[w]) "  " figure(theirs[w]) " " unit[w])
        text(WIDTH - 12, y + THICK + 5, "ratio", figure(is_less(unit[w]) ? theirs[w] / ours[w] : ours[w] / theirs[w]) " x")
    }
    # The works of one kind under a heading, from y on; returns where it ends.
    function section(less, heading, y, i, drawn) {
        for (i = 1; i <= n; i++) {
            if (machine[order[i]] != cpu || is_less(unit[order[i]]) != less) continue
            if (!drawn++) { text(LEFT, y + 14, "heading", heading); y += 26 }
            pair(order[i], y)
            y += PITCH
        }
        return drawn ? y + 14 : y
    }
    BEGIN { WIDTH = 860; LEFT = 190; LONGEST = 380; THICK = 13; PITCH = 38 }
    FNR > 1 && $4 !~ /^limit / && $6 > 0 && $8 > 0 {
        if (!($4 in ours)) order[++n] = $4
        ours[$4] = $6; theirs[$4] = $8; peer[$4] = $7; unit[$4] = $13; machine[$4] = cpu = $3
        last = substr($1, 1, 10) ", commit " $2 ", " $3
    }
    END {
        for (i = 1; i <= n; i++) { pairs += machine[order[i]] == cpu; kinds[is_less(unit[order[i]])] = 1 }
        height = 16 + PITCH * pairs + 40 * ((0 in kinds) + (1 in kinds)) + 22
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"The speed of nib beside that of others\">\n", WIDTH, height, WIDTH, height
        print "<style>\ntext { font: 12px system-ui, sans-serif; fill: #1f2328 }\n.work, .ratio { text-anchor: end }\n.heading, .ratio { font-weight: 600 }\n.faint { fill: #59636e }"
        print ".ours { fill: #0f766e }\n.theirs { fill: #b6bec8 }"
        print "@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .faint { fill: #9198a1 } .ours { fill: #2dd4bf } .theirs { fill: #4b5563 } }\n</style>"
        y = section(0, "Speed: longer is better", 16)
        y = section(1, "Time and memory: shorter is better", y)
        text(LEFT, y + 6, "faint", "best against best, in turn; " last)
        print "</svg>"
    }' "$rows" >"$out"
