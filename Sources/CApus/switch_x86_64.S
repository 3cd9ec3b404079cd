// SPDX-License-Identifier: Apache-2.0
//
// The context switch for x86-64 (System V ABI). A saved context is its stack pointer; above it lie, in this order:
//
//     0  MXCSR and the x87 control word (their control bits belong to the callee)
//     8  r15    16  r14    24  r13    32  r12    40  rbx    48  rbp    56  the return address
//
// The return is a jump, not `ret`: the processor predicts `ret` from the calls made on this core, which were made on
// another stack.

#if defined(__x86_64__)

#if defined(__APPLE__)
#define SYMBOL(name) _##name
#define FUNCTION(name) .globl _##name
#define END(name)
#else
#define SYMBOL(name) name
#define FUNCTION(name) .globl name; .type name, @function
#define END(name) .size name, . - name
#endif

.text

// void apus_switch(void **save = rdi, void *load = rsi)
FUNCTION(apus_switch)
.p2align 4
SYMBOL(apus_switch):
    .cfi_startproc
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movl (%rsp), %eax
    movzwl 4(%rsp), %ecx
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    // Loading them is slow when they change, also when only a sticky exception flag does: load if the controls differ.
    xorl (%rsp), %eax
    testl $0xffc0, %eax
    jne 2f
1:  cmpw %cx, 4(%rsp)
    jne 3f
4:  addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rcx
    jmpq *%rcx
2:  ldmxcsr (%rsp)
    jmp 1b
3:  fldcw 4(%rsp)
    jmp 4b
    .cfi_endproc
END(apus_switch)

// The first frame of a goroutine: r12 holds the argument, r13 the function. An unwinder stops here.
FUNCTION(apus_goroutine_start)
.p2align 4
SYMBOL(apus_goroutine_start):
    .cfi_startproc
    .cfi_undefined rip
    xorl %ebp, %ebp
    movq %r12, %rdi
    callq *%r13
    ud2
    .cfi_endproc
END(apus_goroutine_start)

// void apus_call_on_stack(void *stack_high = rdi, void (*function)(void *) = rsi, void *argument = rdx)
// The frame pointer keeps the way back, so a backtrace crosses from the new stack to the old one.
FUNCTION(apus_call_on_stack)
.p2align 4
SYMBOL(apus_call_on_stack):
    .cfi_startproc
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    movq %rdi, %rsp
    andq $-16, %rsp
    movq %rdx, %rdi
    callq *%rsi
    movq %rbp, %rsp
    popq %rbp
    .cfi_def_cfa %rsp, 8
    retq
    .cfi_endproc
END(apus_call_on_stack)

// void *apus_stack_pointer(void)
FUNCTION(apus_stack_pointer)
SYMBOL(apus_stack_pointer):
    leaq 8(%rsp), %rax
    retq
END(apus_stack_pointer)

// uintptr_t apus_frame_pointer(void)
FUNCTION(apus_frame_pointer)
SYMBOL(apus_frame_pointer):
    movq %rbp, %rax
    retq
END(apus_frame_pointer)

#endif

#if defined(__linux__) && defined(__ELF__)
.section .note.GNU-stack, "", @progbits
#endif
