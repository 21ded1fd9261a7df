# "NAME TURN FIGURE VALUE" lines of two monitors that take turns, as a table: medians with their range, and the median over the turns of the ratio, with the
# interval of order statistics that holds the true median in 95 % of cases. A target that lies in the interval is neither met nor missed.
function sort(list, n,   i, j, t) {
    for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j] + 0 < list[j - 1] + 0; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
}
function median(list, n) { return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2 }
function cell(name, figure,   list, n, t) {
    n = 0
    for (t in turns) if ((name, t, figure) in value) list[++n] = value[name, t, figure]
    if (!n) return "failed"
    sort(list, n)
    return sprintf("%d (%d-%d)", median(list, n), list[1], list[n])
}
NF == 4 { value[$1, $2, $3] = $4 + 0; turns[$2] = 1 }
END {
    rows = split("boot-ms random-read-us sequential-mib-per-s ping-us interrupts-per-second", row, " ")
    split("start to init, ms|4 KiB random read, us|1 MiB sequential reads, MiB/s|ping round trip, us|interrupts a second, one read in flight", what, "|")
    split("<= 0.7 <= 1 >= 1 <= 1 >= 1", wanted, " ")
    print "| What | Aperture | QEMU | Aperture / QEMU | Wanted |"
    print "|---|---|---|---|---|"
    for (r = 1; r <= rows; r++) {
        n = 0
        for (t in turns) if ((("aperture", t, row[r]) in value) && value["qemu", t, row[r]]) ratio[++n] = value["aperture", t, row[r]] / value["qemu", t, row[r]]
        if (!n) { print "| " what[r] " | " cell("aperture", row[r]) " | " cell("qemu", row[r]) " | | |"; continue }
        sort(ratio, n)
        reach = 0.98 * sqrt(n)
        first = int((n + 1) / 2 - reach); last = n + 1 - first
        if (first < 1) { first = 1; last = n }
        sign = wanted[2 * r - 1]; bound = wanted[2 * r]
        if (ratio[first] <= bound && bound <= ratio[last] && n > 1) verdict = "undecided"
        else verdict = (sign == "<=" ? ratio[first] <= bound : ratio[first] >= bound) ? "met" : "MISSED"
        printf "| %s | %s | %s | %.2f (%.2f-%.2f) | %s %s, %s |\n", what[r], cell("aperture", row[r]), cell("qemu", row[r]), median(ratio, n), ratio[first], ratio[last], sign, bound, verdict
    }
    if (cell("seabios", "boot-ms") != "failed") print "\nStart to init of QEMU with SeaBIOS instead of qboot: " cell("seabios", "boot-ms") " ms"
}
