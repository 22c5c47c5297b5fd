/* SPDX-License-Identifier: Apache-2.0 */
#include "local/breakpoint.h"

#if BREAKPOINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <x86intrin.h>

enum { TRAP_FLAG = 0x100, BREAKPOINT = 0xcc, PAGE = 4096, WAY_MOST = 100000 };

static struct {
    unsigned char
        *way[WAY_MOST]; /* the instructions of a call, in the order in which they ran */
    long length;
    bool learning;

    unsigned char *at; /* the breakpoint, or NULL */
    unsigned char replaced;
    long passes; /* times more that the call runs over it before it stops */
    bool passing;
    bool met;
    void (*meanwhile)(void);
} world;

static void write_code(unsigned char *at, unsigned char byte) {
    (void)mprotect(at - (uintptr_t)at % PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    *(volatile unsigned char *)at = byte;
}

static void stop(greg_t *registers) {
    write_code(world.at, world.replaced);
    registers[REG_RIP]--;
    if (world.passes > 0) {
        world.passes--;
        world.passing = true;
        registers[REG_EFL] |= TRAP_FLAG; /* until the instruction has run */
        return;
    }
    world.at = NULL;
    world.met = true;
    world.meanwhile();
}

static void on_trap(int signal_number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)signal_number;
    (void)info;
    if (world.learning) {
        if (world.length < WAY_MOST) {
            /* A register is a number. NOLINTNEXTLINE(performance-no-int-to-ptr) */
            world.way[world.length++] = (unsigned char *)registers[REG_RIP];
        }
    } else if (world.passing) {
        world.passing = false;
        registers[REG_EFL] &= ~TRAP_FLAG;
        write_code(world.at, BREAKPOINT);
    } else {
        stop(registers);
    }
}

/* Both kinds of calls are made here, so that they are the same instructions. Nothing else is, since there is a breakpoint. */
static __attribute__((noinline)) void run(void (*call)(void), unsigned long long flags) {
    atomic_signal_fence(memory_order_seq_cst);
    __writeeflags(__readeflags() | flags);
    call();
    __writeeflags(__readeflags() & ~flags);
    atomic_signal_fence(memory_order_seq_cst);
}

long breakpoint_learn(void (*call)(void)) {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    struct sigaction before;
    (void)sigaction(SIGTRAP, &action, &before);
    world.length = 0;
    world.learning = true;
    run(call, TRAP_FLAG);
    world.learning = false;
    (void)sigaction(SIGTRAP, &before, NULL);
    return world.length;
}

bool breakpoint_stop(void (*call)(void), long instruction, void (*meanwhile)(void)) {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    struct sigaction before;
    (void)sigaction(SIGTRAP, &action, &before);
    world.at = world.way[instruction];
    world.passes = 0;
    for (long i = 0; i < instruction; i++) {
        world.passes += world.way[i] == world.at;
    }
    world.meanwhile = meanwhile;
    world.met = false;
    world.replaced = *world.at;
    write_code(world.at, BREAKPOINT);
    run(call, 0);
    if (world.at != NULL) { /* it went another way */
        write_code(world.at, world.replaced);
        world.at = NULL;
    }
    (void)sigaction(SIGTRAP, &before, NULL);
    return world.met;
}

#endif
