/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_asm.h - writing a classic BPF program with labels.
 *
 * A conditional jump of classic BPF reaches 255 instructions; asm_if() and
 * asm_unless() therefore jump over an unconditional one, which reaches
 * anywhere.  Jumps only go forward, as the kernel wants it.
 */
#ifndef ENGINE_CAPTURE_FILTER_ASM_H
#define ENGINE_CAPTURE_FILTER_ASM_H

#include <linux/filter.h>

#include "base/buf.h"

enum { ASM_LABELS = 8 };

/* A zeroed one is an empty program. */
struct program {
	struct buf code; /* struct sock_filter, one behind the other */
	struct buf jumps[ASM_LABELS]; /* uint32_t: who jumps to the label */
};

void program_release(struct program *p);
size_t program_len(const struct program *p);

void asm_op(struct program *p, uint16_t code, uint32_t k);

/* Jump to the label; if the accumulator compares so with k; if it does not. */
void asm_goto(struct program *p, int label);
void asm_if(struct program *p, uint16_t jump, uint32_t k, int label);
void asm_unless(struct program *p, uint16_t jump, uint32_t k, int label);

/* Unless it compares so with k, pass over the next `skip` instructions. */
void asm_skip_unless(struct program *p, uint16_t jump, uint32_t k,
		     uint8_t skip);

/* The label is here; it may be used again afterwards. */
void asm_label(struct program *p, int label);

#endif
