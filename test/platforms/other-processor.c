// Owns a lesser processor, played on this one: loaded before a program (LD_PRELOAD), it traps each CPUID and hides AMX from the answer.
// Linux x64, on processors and virtual machines that can trap CPUID. For a test bed, and for nothing else.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_CPUID 0x1012

static void answer(int number, siginfo_t* info, void* context) {
  (void)info;
  greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  const unsigned char* code = (const unsigned char*)registers[REG_RIP];
  if (code[0] != 0x0f || code[1] != 0xa2) {  // no CPUID: what it is without this
    signal(number, SIG_DFL);
    return;
  }
  const unsigned leaf = (unsigned)registers[REG_RAX], part = (unsigned)registers[REG_RCX];
  unsigned a = leaf, b, c = part, d;
  syscall(SYS_arch_prctl, ARCH_CPUID, 1);
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  syscall(SYS_arch_prctl, ARCH_CPUID, 0);
  if (leaf == 7 && part == 0) d &= ~(1u << 22 | 1u << 24 | 1u << 25);  // AMX-BF16, AMX-TILE, AMX-INT8
  registers[REG_RAX] = a;
  registers[REG_RBX] = b;
  registers[REG_RCX] = c;
  registers[REG_RDX] = d;
  registers[REG_RIP] += 2;
}

// The program may neither block the signal nor handle it.
int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) {
  static int (*real)(int, const sigset_t*, sigset_t*);
  if (!real) real = (int (*)(int, const sigset_t*, sigset_t*))dlsym(RTLD_NEXT, "pthread_sigmask");
  sigset_t mine;
  if (set) {
    mine = *set;
    if (how != SIG_UNBLOCK) sigdelset(&mine, SIGSEGV);
  }
  return real(how, set ? &mine : NULL, old);
}

int sigaction(int number, const struct sigaction* action, struct sigaction* old) {
  static int (*real)(int, const struct sigaction*, struct sigaction*);
  if (!real) real = (int (*)(int, const struct sigaction*, struct sigaction*))dlsym(RTLD_NEXT, "sigaction");
  const int is_ours = action && action->sa_sigaction == answer;
  return real(number, number == SIGSEGV && !is_ours ? NULL : action, old);
}

__attribute__((constructor)) static void begin(void) {
  struct sigaction action = {0};
  action.sa_sigaction = answer;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, NULL);
  if (syscall(SYS_arch_prctl, ARCH_CPUID, 0) != 0) {
    fputs("other-processor.c: this machine cannot trap CPUID\n", stderr);
    _exit(77);
  }
}
