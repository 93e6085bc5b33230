// Owns counting the instructions that a program executes under qemu's user emulation of ARM: a plugin of qemu's. At each `hint #40` (MARK in
// counts.cpp), which does nothing else, it prints how many there were since the one before: all, those of the vector unit, loads and stores.
// One thread. qemu's header is not in every package of it, so what is used of it (API version 1) is declared here.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb*));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn*, enum qemu_plugin_op, void*, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn*, void (*)(unsigned, void*), enum qemu_plugin_cb_flags, void*);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { all, vector, memory, kinds };
static uint64_t counts[kinds];

static void mark(unsigned processor, void* data) {
  (void)processor, (void)data;
  printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts[all], counts[vector], counts[memory]);
  fflush(stdout);
  memset(counts, 0, sizeof(counts));
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb* block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
    struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(block, i);
    uint32_t bits;
    memcpy(&bits, qemu_plugin_insn_data(instruction), sizeof(bits));
    if (bits == 0xd503251f) qemu_plugin_register_vcpu_insn_exec_cb(instruction, mark, QEMU_PLUGIN_CB_NO_REGS, NULL);
    // As "A64 instruction set encoding" has it: bits 28 to 25 are x1x0 for loads and stores, x111 for vectors; 0010 is SVE.
    const uint32_t group = bits >> 25 & 15;
    qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64, &counts[all], 1);
    const int kind = (group & 5) == 4 ? memory : (group & 7) == 7 || group == 2 ? vector : kinds;
    if (kind < kinds) qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64, &counts[kind], 1);
  }
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info* info, int count, char** args) {
  (void)info, (void)count, (void)args;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  return 0;
}
