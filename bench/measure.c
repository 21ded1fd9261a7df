/*
 * Runs one command within a time limit and prints what it cost, as one line of tab-separated fields:
 *
 *   user sys wall maxrss status sampled lost
 *
 * user, sys    seconds of CPU time of the command and its children, from wait4. On kernels with tick-based accounting
 *              the total is exact and its split is sampled at CONFIG_HZ; guest time counts as user time.
 * wall         seconds from just before fork to the end of the command.
 * maxrss       peak resident set of the largest process, KiB.
 * status       exit code; 128 + signal; "timeout".
 * sampled      seconds in user mode outside a guest, from a CPU-clock sampler much finer than the tick
 *              (perf_event_open(2), PERF_COUNT_SW_CPU_CLOCK); "-" when not asked for or not available.
 * lost         samples that the kernel dropped or throttled; other than 0 makes `sampled` too small.
 *
 * Usage: measure [-s] [-t SECONDS] COMMAND [ARGUMENT...]     (-s: take samples)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Not a round number: a period in step with the payload's loop would see the same instruction again and again. */
#define PERIOD_NS 49999u
#define RING_PAGES 64u
#define MAX_CPUS 512

struct sampler {
    int cpus;
    size_t ring_bytes;
    struct perf_event_mmap_page *ring[MAX_CPUS];
    uint64_t user, lost;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int fail(const char *what)
{
    fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
    return 2;
}

/* One event per processor, because a ring buffer cannot be shared by the threads that inherit a per-task event. */
static int sampler_open(struct sampler *s, pid_t pid)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_CPU_CLOCK,
        .sample_period = PERIOD_NS, .disabled = 1, .inherit = 1, .enable_on_exec = 1,
    };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    s->ring_bytes = RING_PAGES * page;
    s->cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (s->cpus > MAX_CPUS)
        s->cpus = MAX_CPUS;
    for (int i = 0; i < s->cpus; i++) {
        int fd = (int)syscall(SYS_perf_event_open, &attr, pid, i, -1, PERF_FLAG_FD_CLOEXEC);
        if (fd < 0)
            return -1;
        s->ring[i] = mmap(NULL, s->ring_bytes + page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (s->ring[i] == MAP_FAILED)
            return -1;
    }
    return 0;
}

static void sampler_drain(struct sampler *s)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < s->cpus; i++) {
        struct perf_event_mmap_page *m = s->ring[i];
        const char *data = (const char *)m + page;
        uint64_t head = __atomic_load_n(&m->data_head, __ATOMIC_ACQUIRE), tail = m->data_tail;
        while (tail < head) {
            /* Records are multiples of 8 bytes, so a header never wraps. */
            const struct perf_event_header *h = (const void *)(data + tail % s->ring_bytes);
            if (h->type == PERF_RECORD_SAMPLE)
                s->user += (h->misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_USER;
            else if (h->type == PERF_RECORD_LOST || h->type == PERF_RECORD_THROTTLE)
                s->lost++;
            tail += h->size;
        }
        __atomic_store_n(&m->data_tail, tail, __ATOMIC_RELEASE);
    }
}

int main(int argc, char **argv)
{
    double limit = 60;
    int sample = 0, option, gate[2];
    while ((option = getopt(argc, argv, "+st:")) != -1) {
        if (option == 's')
            sample = 1;
        else if (option == 't')
            limit = atof(optarg);
        else
            return 2;
    }
    if (optind >= argc || limit <= 0) {
        fprintf(stderr, "usage: measure [-s] [-t SECONDS] COMMAND [ARGUMENT...]\n");
        return 2;
    }
    if (pipe2(gate, O_CLOEXEC) < 0)
        return fail("pipe");

    double begin = now();
    pid_t pid = fork();
    if (pid < 0)
        return fail("fork");
    if (pid == 0) {
        char go;
        setpgid(0, 0); /* so that the time limit takes the command's children with it */
        close(gate[1]);
        if (sample && read(gate[0], &go, 1) != 1)
            _exit(126);
        execvp(argv[optind], argv + optind);
        fprintf(stderr, "measure: %s: %s\n", argv[optind], strerror(errno));
        _exit(127);
    }
    setpgid(pid, pid);

    static struct sampler sampler;
    if (sample) {
        if (sampler_open(&sampler, pid) < 0)
            sample = 0;
        begin = now();
        if (write(gate[1], "g", 1) != 1)
            return fail("pipe");
    }
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), timed_out = 0;
    if (pidfd < 0) {
        kill(-pid, SIGKILL);
        return fail("pidfd_open");
    }
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    double left;
    while ((left = begin + limit - now()) > 0) {
        int wait_ms = (int)(left * 1000) + 1;
        int n = poll(&p, 1, sample && wait_ms > 100 ? 100 : wait_ms);
        if (n > 0)
            break;
        if (sample)
            sampler_drain(&sampler);
    }
    double wall = now() - begin;
    if (left <= 0) {
        timed_out = 1;
        kill(-pid, SIGKILL);
    }

    int status;
    struct rusage u;
    if (wait4(pid, &status, 0, &u) < 0)
        return fail("wait4");
    if (sample)
        sampler_drain(&sampler);

    char code[16], sampled[32] = "-";
    snprintf(code, sizeof code, "%d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (sample)
        snprintf(sampled, sizeof sampled, "%.6f", (double)sampler.user * PERIOD_NS * 1e-9);
    printf("%ld.%06ld\t%ld.%06ld\t%.6f\t%ld\t%s\t%s\t%llu\n", (long)u.ru_utime.tv_sec, (long)u.ru_utime.tv_usec,
           (long)u.ru_stime.tv_sec, (long)u.ru_stime.tv_usec, wall, u.ru_maxrss, timed_out ? "timeout" : code, sampled,
           (unsigned long long)sampler.lost);
    return 0;
}
