/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capture/filter_asm.h"

#include <assert.h>

void program_release(struct program *p)
{
	buf_release(&p->code);
	for (int i = 0; i < ASM_LABELS; i++)
		buf_release(&p->jumps[i]);
}

size_t program_len(const struct program *p)
{
	return p->code.len / sizeof(struct sock_filter);
}

static void put_instruction(struct program *p, struct sock_filter f)
{
	put_bytes(&p->code, bytes_of(&f, sizeof(f)));
}

void asm_op(struct program *p, uint16_t code, uint32_t k)
{
	put_instruction(p, (struct sock_filter){ .code = code, .k = k });
}

void asm_goto(struct program *p, int label)
{
	uint32_t at = (uint32_t)program_len(p);

	put_bytes(&p->jumps[label], bytes_of(&at, sizeof(at)));
	asm_op(p, BPF_JMP | BPF_JA, 0);
}

void asm_if(struct program *p, uint16_t jump, uint32_t k, int label)
{
	put_instruction(p, (struct sock_filter){
				   .code = BPF_JMP | jump, .jf = 1, .k = k });
	asm_goto(p, label);
}

void asm_unless(struct program *p, uint16_t jump, uint32_t k, int label)
{
	put_instruction(p, (struct sock_filter){
				   .code = BPF_JMP | jump, .jt = 1, .k = k });
	asm_goto(p, label);
}

void asm_skip_unless(struct program *p, uint16_t jump, uint32_t k, uint8_t skip)
{
	put_instruction(p, (struct sock_filter){ .code = BPF_JMP | jump,
						 .jf = skip,
						 .k = k });
}

void asm_label(struct program *p, int label)
{
	struct sock_filter *code = (struct sock_filter *)(void *)p->code.p;
	struct buf *jumps = &p->jumps[label];
	uint32_t here = (uint32_t)program_len(p);

	for (size_t i = 0; i < jumps->len; i += sizeof(uint32_t)) {
		uint32_t at;

		memcpy(&at, jumps->p + i, sizeof(at));
		assert(at < here);
		code[at].k = here - at - 1;
	}
	buf_clear(jumps);
}
