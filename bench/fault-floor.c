// The least that a C program can do for what bench/faults measures, by the same means: pages that come at a touch (userfaultfd, a reader and a worker; a grant
// is mmap and a wake-up, a revocation mremap of a registered spare), and two processes that exchange the bytes of vfio-user's register accesses over a socket.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int uffd, source, work;
static char *window, *spare;
static size_t size;

static void check(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(2);
    }
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int count) {
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

static void wake(void) {
    struct uffdio_range range = { (uintptr_t)window, size };
    check(ioctl(uffd, UFFDIO_WAKE, &range) == 0, "UFFDIO_WAKE");
}

static void *reader(void *unused) {
    struct uffd_msg message;
    struct pollfd item = { uffd, POLLIN, 0 };
    for (uint64_t one = 1;;) {
        poll(&item, 1, -1);
        if (read(uffd, &message, sizeof message) == sizeof message && message.event == UFFD_EVENT_PAGEFAULT)
            check(write(work, &one, 8) == 8, "eventfd");
    }
    return unused;
}

static void *worker(void *unused) {
    for (uint64_t count; read(work, &count, 8) == 8;) {
        check(mmap(window, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, source, 0) == window, "mmap");
        wake();
    }
    return unused;
}

static char *reserve(size_t length) {
    char *room = mmap(NULL, length + (2 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(room != MAP_FAILED, "mmap");
    char *start = (char *)(((uintptr_t)room + (2 << 20) - 1) & ~((uintptr_t)(2 << 20) - 1));
    struct uffdio_register entry = { { (uintptr_t)start, length }, UFFDIO_REGISTER_MODE_MISSING, 0 };
    check(madvise(start, length, MADV_DONTFORK) == 0, "madvise");
    check(ioctl(uffd, UFFDIO_REGISTER, &entry) == 0, "UFFDIO_REGISTER");
    return start;
}

static void faults(const char *name, size_t length, int rounds) {
    double *touch = calloc(rounds, sizeof *touch), *revoke = calloc(rounds, sizeof *revoke);
    size = length;
    window = reserve(length);
    spare = reserve(length);
    for (int i = 0; i < rounds; i++) {
        uint32_t word;
        struct iovec to = { &word, 4 }, from = { window, 4 };
        double before = now();
        check(process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 4, "process_vm_readv");
        double between = now();
        check(mremap(spare, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, window) == window, "mremap");
        wake();
        touch[i] = between - before;
        revoke[i] = now() - between;
    }
    printf("touch-%s %.0f\nrevoke-%s %.0f\n", name, median(touch, rounds), name, median(revoke, rounds));
}

// 16 bytes of header, 16 of the access, 4 of data: reads are answered with data; writes that are posted, not at all.
static void registers(int rounds) {
    int pair[2];
    char bytes[64] = { 0 };
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    pid_t server = fork();
    if (server == 0) {
        close(pair[0]);
        for (ssize_t count; (count = recv(pair[1], bytes, 32, MSG_WAITALL)) == 32;) {
            if (bytes[0] == 1) {
                if (recv(pair[1], bytes + 32, 4, MSG_WAITALL) != 4) break;
            } else if (send(pair[1], bytes, 36, 0) != 36) break;
        }
        _exit(0);
    }
    close(pair[1]);
    double *read_times = calloc(rounds, sizeof *read_times);
    for (int i = 0; i < rounds; i++) {
        double before = now();
        bytes[0] = 0;
        check(send(pair[0], bytes, 32, 0) == 32 && recv(pair[0], bytes, 36, MSG_WAITALL) == 36, "socket");
        read_times[i] = now() - before;
    }
    double before = now();
    for (int i = 0; i < rounds; i++) {
        bytes[0] = 1;
        check(send(pair[0], bytes, 36, 0) == 36, "socket");
    }
    bytes[0] = 0;
    check(send(pair[0], bytes, 32, 0) == 32 && recv(pair[0], bytes, 36, MSG_WAITALL) == 36, "socket");
    printf("register-read %.0f\nposted-write %.0f\n", median(read_times, rounds), (now() - before) / rounds);
    close(pair[0]);
    waitpid(server, NULL, 0);
}

int main(int count, char **arguments) {
    int rounds = count > 1 ? atoi(arguments[1]) : 2000;
    registers(rounds * 5);
    pthread_t threads[2];
    uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (uffd < 0) uffd = ioctl(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
    struct uffdio_api api = { UFFD_API, UFFD_FEATURE_EVENT_REMAP, 0 };
    check(uffd >= 0 && ioctl(uffd, UFFDIO_API, &api) == 0, "userfaultfd");
    source = memfd_create("floor", MFD_CLOEXEC);
    work = eventfd(0, EFD_CLOEXEC);
    check(ftruncate(source, 4 << 20) == 0, "ftruncate");
    pthread_create(&threads[0], NULL, reader, NULL);
    pthread_create(&threads[1], NULL, worker, NULL);
    faults("4K", 4096, rounds);
    faults("2M", 2 << 20, rounds);
    return 0;
}
