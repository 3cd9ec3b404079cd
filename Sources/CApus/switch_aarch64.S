// SPDX-License-Identifier: Apache-2.0
//
// The context switch for arm64 (AAPCS64). A saved context is its stack pointer; above it lie, in this order:
//
//     0  x19 x20   16  x21 x22   32  x23 x24   48  x25 x26   64  x27 x28   80  x29 x30
//    96  d8 d9    112  d10 d11  128  d12 d13  144  d14 d15  160  fpcr
//
// The return is a branch, not `ret`: the processor predicts `ret` from the calls made on this core, which were made on
// another stack.

#if defined(__aarch64__)

#if defined(__APPLE__)
#define SYMBOL(name) _##name
#define FUNCTION(name) .globl _##name
#define END(name)
#else
#define SYMBOL(name) name
#define FUNCTION(name) .globl name; .type name, %function
#define END(name) .size name, . - name
#endif

.text

// void apus_switch(void **save = x0, void *load = x1)
FUNCTION(apus_switch)
.p2align 4
SYMBOL(apus_switch):
    .cfi_startproc
    sub sp, sp, #176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x9, fpcr
    str x9, [sp, #160]
    mov x10, sp
    str x10, [x0]
    mov sp, x1
    ldr x10, [sp, #160]
    cmp x9, x10
    b.eq 1f
    msr fpcr, x10
1:
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #176
    mov x9, x30
    br x9
    .cfi_endproc
END(apus_switch)

// The first frame of a goroutine: x19 holds the argument, x20 the function. An unwinder stops here.
FUNCTION(apus_goroutine_start)
.p2align 4
SYMBOL(apus_goroutine_start):
    .cfi_startproc
    .cfi_undefined x30
    mov x29, #0
    mov x30, #0
    mov x0, x19
    blr x20
    brk #1
    .cfi_endproc
END(apus_goroutine_start)

// void apus_call_on_stack(void *stack_high = x0, void (*function)(void *) = x1, void *argument = x2)
// The frame pointer keeps the way back, so a backtrace crosses from the new stack to the old one.
FUNCTION(apus_call_on_stack)
.p2align 4
SYMBOL(apus_call_on_stack):
    .cfi_startproc
    stp x29, x30, [sp, #-16]!
    .cfi_def_cfa_offset 16
    .cfi_offset x29, -16
    .cfi_offset x30, -8
    mov x29, sp
    .cfi_def_cfa_register x29
    and x9, x0, #0xfffffffffffffff0
    mov sp, x9
    mov x0, x2
    blr x1
    mov sp, x29
    .cfi_def_cfa_register sp
    ldp x29, x30, [sp], #16
    ret
    .cfi_endproc
END(apus_call_on_stack)

// void *apus_stack_pointer(void)
FUNCTION(apus_stack_pointer)
SYMBOL(apus_stack_pointer):
    mov x0, sp
    ret
END(apus_stack_pointer)

// uintptr_t apus_frame_pointer(void)
FUNCTION(apus_frame_pointer)
SYMBOL(apus_frame_pointer):
    mov x0, x29
    ret
END(apus_frame_pointer)

#endif

#if defined(__linux__) && defined(__ELF__)
.section .note.GNU-stack, "", %progbits
#endif
