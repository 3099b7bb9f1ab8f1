// SPDX-License-Identifier: Apache-2.0
#include "control/sandbox/system_calls.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>

namespace sluice::sandbox {

namespace {

// By what they are for. Names that an architecture does not have are passed over.
constexpr const char* allowed[] = {
    // files
    "openat", "open", "creat", "read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "close",
    "close_range", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access",
    "faccessat", "faccessat2", "getdents64", "readlink", "readlinkat", "getcwd", "dup", "dup2", "dup3",
    "fcntl", "flock", "fsync", "fdatasync", "ftruncate", "truncate", "fallocate", "fadvise64", "mkdir",
    "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "umask", "chmod", "fchmod",
    "fchmodat", "ioctl", "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "memfd_create", "pipe",
    "pipe2",
    // memory, and where it lies
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "mincore", "msync", "mlock", "mlock2",
    "munlock", "mlockall", "munlockall", "mbind", "get_mempolicy", "set_mempolicy", "move_pages",
    // threads
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "gettid",
    "getpid", "getppid", "exit", "exit_group", "sched_yield", "sched_getaffinity", "sched_setaffinity",
    "sched_getparam", "sched_setparam", "sched_getscheduler", "sched_setscheduler", "sched_get_priority_max",
    "sched_get_priority_min", "getcpu", "membarrier", "arch_prctl", "prctl", "tgkill", "restart_syscall",
    "setpriority", "getpriority",
    // signals
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending", "rt_sigsuspend",
    "sigaltstack", "signalfd4", "pause",
    // time
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "timerfd_create",
    "timerfd_settime", "timerfd_gettime", "alarm", "setitimer", "getitimer",
    // waiting
    "epoll_create1", "epoll_create", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll",
    "ppoll", "select", "pselect6", "eventfd", "eventfd2",
    // sockets; socket() itself by family
    "bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername", "getsockopt",
    "setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "socketpair", "splice",
    "tee", "vmsplice", "sendfile",
    // who and where
    "getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid", "capget", "uname",
    "sysinfo", "getrusage", "times", "getrlimit", "setrlimit", "prlimit64", "getrandom",
    // programs and maps, and what the program shows a capture
    "bpf", "perf_event_open",
    // EAL asks for I/O ports, which it gets with CAP_SYS_RAWIO alone
    "iopl"};

constexpr int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_XDP};

constexpr size_t numbers = 1024;
std::array<std::atomic<u64>, numbers> refused{};
static_assert(std::atomic<u64>::is_always_lock_free, "it is written in a signal handler");

void set_result(ucontext_t& context, long value) {
#if defined(__x86_64__)
    context.uc_mcontext.gregs[REG_RAX] = value;
#elif defined(__aarch64__)
    context.uc_mcontext.regs[0] = static_cast<unsigned long long>(value);
#else
#error "where a system call leaves its result is not known here"
#endif
}

// In the thread that made the call, in place of the call.
void on_refused(int, siginfo_t* info, void* context) {
    const auto number = static_cast<size_t>(info->si_syscall);
    if (number < numbers) refused[number].fetch_add(1, std::memory_order_relaxed);
    set_result(*static_cast<ucontext_t*>(context), -EPERM);
}

struct Release {
    void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

Status added(int code, const char* name) {
    if (code == 0) return {};
    return system_error(-code, "seccomp: rule for {}", name);
}

Status add_rules(scmp_filter_ctx filter) {
    for (const char* name : allowed) {
        const int number = seccomp_syscall_resolve_name(name);
        if (number == __NR_SCMP_ERROR || number < 0) continue;
        if (Status status = added(seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0), name); !status)
            return status;
    }
    for (const int family : families) {
        const int code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                          SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
        if (Status status = added(code, "socket"); !status) return status;
    }
    // Threads, but no processes. clone3 hides its flags behind a pointer: libc does without it.
    const int threads = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                         SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (Status status = added(threads, "clone"); !status) return status;
    return added(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3");
}

}  // namespace

std::string not_filterable() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return "this build has sanitizers, which make system calls of their own";
#else
    return "";
#endif
}

Status filter_system_calls() {
    struct sigaction action {};
    action.sa_sigaction = on_refused;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (sigaction(SIGSYS, &action, nullptr) != 0) return system_error(errno, "SIGSYS");
    const Filter filter(seccomp_init(SCMP_ACT_TRAP));
    if (!filter) return make_error("seccomp: no filter can be made");
    if (Status status = add_rules(filter.get()); !status) return status;
    seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree rather than a list
    if (const int code = seccomp_load(filter.get()); code != 0)
        return system_error(-code, "seccomp: the kernel does not take the filter");
    return {};
}

std::map<std::string, u64> refused_system_calls() {
    std::map<std::string, u64> out;
    for (size_t number = 0; number < numbers; ++number) {
        const u64 count = refused[number].load(std::memory_order_relaxed);
        if (count == 0) continue;
        char* const name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(number));
        out[name != nullptr ? name : std::to_string(number)] = count;
        std::free(name);
    }
    return out;
}

}  // namespace sluice::sandbox
