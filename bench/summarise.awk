# Turns the single runs that bench/run recorded into its Markdown table.
# Input fields: benchmark monitor round count user sys wall maxrss status sampled lost

BEGIN {
    FS = "\t"
    split("aperture qemu floor", monitors, " ")
    benches = split("mmio-read config-cf8 config-ecam bar-move start rss", bench_order, " ")
    unit["mmio-read"] = "MMIO read"
    unit["config-cf8"] = "config read, CF8/CFC"
    unit["config-ecam"] = "config read, ECAM"
    unit["bar-move"] = "move of a RAM-backed BAR"
    # Largest Aperture/peer ratio that is wanted: [benchmark, metric, peer].
    target["mmio-read", "user", "floor"] = 1.3
    target["mmio-read", "user", "qemu"] = 0.25
    target["config-cf8", "user", "qemu"] = 0.2
    target["config-ecam", "user", "qemu"] = 0.2
    target["bar-move", "user", "qemu"] = 0.2
    target["bar-move", "wall", "qemu"] = 1
    target["start", "wall", "qemu"] = 0.9
    target["rss", "rss", "qemu"] = 1
}

NR == 1 { next }
$11 > 0 { lost++ }

$1 == "start" { add($1, "wall", $2, $7 * 1e3); next }
$1 == "rss" { add($1, "rss", $2, $8 / 1024); next }

# A pair of runs, the smaller count first: their difference is the loop without the start.
{
    key = $1 SUBSEP $2 SUBSEP $3
    if (!(key in low)) {
        low[key] = $4
        sampled[key] = $10; user[key] = $5; system_[key] = $6; wall[key] = $7
        next
    }
    n = ($4 - low[key]) / 1e6
    if ($10 != "-" && sampled[key] != "-") {
        add($1, "user", $2, ($10 - sampled[key]) / n)
    }
    add($1, "rusage", $2, ($5 - user[key]) / n)
    add($1, "sys", $2, ($6 - system_[key]) / n)
    add($1, "wall", $2, ($7 - wall[key]) / n)
}

END {
    print "| What | Aperture | QEMU | C floor | Aperture / C | Aperture / QEMU | Wanted |"
    print "|---|---|---|---|---|---|---|"
    for (b = 1; b <= benches; b++) {
        bench = bench_order[b]
        if (bench == "start") {
            row(bench, "wall", "process start to exit, 1,000 exits: wall, ms", "%.1f")
        } else if (bench == "rss") {
            row(bench, "rss", "peak resident memory, 16 MiB guest that touches none: MiB", "%.1f")
        } else {
            row(bench, "user", unit[bench] ": user CPU, us", "%.3f")
            row(bench, "rusage", unit[bench] ": user + guest CPU by getrusage, us", "%.3f")
            row(bench, "sys", unit[bench] ": system CPU, us", "%.2f")
            row(bench, "wall", unit[bench] ": wall, us", "%.2f")
        }
    }
    if (lost > 0) {
        print "\n" lost " runs lost samples: their user CPU time is too small."
    }
}

function add(bench, metric, monitor, value) {
    values[bench, metric, monitor, ++count[bench, metric, monitor]] = value
}

# Sorts one series in place; sets `median`, `least`, `most`; false if it is empty.
function series(bench, metric, monitor,    n, i, j, v) {
    n = count[bench, metric, monitor]
    if (n == 0) {
        return 0
    }
    for (i = 2; i <= n; i++) {
        v = values[bench, metric, monitor, i]
        for (j = i - 1; j > 0 && values[bench, metric, monitor, j] > v; j--) {
            values[bench, metric, monitor, j + 1] = values[bench, metric, monitor, j]
        }
        values[bench, metric, monitor, j + 1] = v
    }
    least = values[bench, metric, monitor, 1]
    most = values[bench, metric, monitor, n]
    i = int((n + 1) / 2)
    median = (values[bench, metric, monitor, i] + values[bench, metric, monitor, n + 1 - i]) / 2
    return 1
}

function row(bench, metric, label, format,    i, line, middle, peer, ratio, wanted, limit, any) {
    line = "| " label
    for (i = 1; i <= 3; i++) {
        if (!series(bench, metric, monitors[i])) {
            line = line " |"
            continue
        }
        any = 1
        middle[monitors[i]] = median
        line = line " | " sprintf(format " (" format "–" format ")", median, least, most)
    }
    if (!any) {
        return
    }
    wanted = ""
    for (i = 3; i >= 2; i--) {
        peer = monitors[i]
        ratio = ""
        if (("aperture" in middle) && middle[peer] > 0) {
            ratio = sprintf("%.2f", middle["aperture"] / middle[peer])
        }
        line = line " | " ratio
        if ((bench, metric, peer) in target) {
            limit = target[bench, metric, peer]
            wanted = wanted (wanted == "" ? "" : "; ") "≤ " limit " x " (peer == "qemu" ? "QEMU" : "C")
            if (ratio != "") {
                wanted = wanted (middle["aperture"] <= limit * middle[peer] ? ", met" : ", MISSED")
            }
        }
    }
    print line " | " wanted " |"
}
