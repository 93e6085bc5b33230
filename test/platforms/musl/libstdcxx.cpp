// Owns as much of libstdc++ as Bun's build for musl asks of it, under the names that it has there, for the test bed of a machine that has no
// musl system to take the real one from. Trees are right but never balanced, and what libstdc++ would throw ends the process: Bun is compiled
// without exceptions. Good for a test bed, and for nothing else.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

namespace {

[[noreturn]] void end(const char* what) {
  fprintf(stderr, "libstdcxx.cpp: %s\n", what ? what : "?");
  abort();
}

// bits/stl_tree.h. The header node: parent is the root, left the first, right the last.
struct Node {
  int color;
  Node *parent, *left, *right;
};

Node* leftmost(Node* x) {
  while (x->left) x = x->left;
  return x;
}

Node* rightmost(Node* x) {
  while (x->right) x = x->right;
  return x;
}

/** Puts `by` where `x` hangs. */
void replace(Node* x, Node* by, Node& header) {
  if (header.parent == x) {
    header.parent = by;
  } else if (x->parent->left == x) {
    x->parent->left = by;
  } else {
    x->parent->right = by;
  }
  if (by) by->parent = x->parent;
}

// bits/hashtable_policy.h
struct RehashPolicy {
  float max_load;
  size_t next_resize;
};
struct Rehash {
  bool yes;
  size_t buckets;
};

// bits/stl_list.h
struct ListNode {
  ListNode *next, *previous;
};

// A mutex behind std::unique_lock<std::mutex>.
struct UniqueLock {
  pthread_mutex_t* mutex;
  bool owns;
};

const int kBlack = 1, kRed = 0;

}  // namespace

extern "C" {

thread_local void* once_callable __asm__("_ZSt15__once_callable");
thread_local void (*once_call)() __asm__("_ZSt11__once_call");
void __once_proxy() { once_call(); }

[[noreturn]] void _ZSt17__throw_bad_allocv() { end("bad_alloc"); }
[[noreturn]] void _ZSt28__throw_bad_array_new_lengthv() { end("bad_array_new_length"); }
[[noreturn]] void _ZSt25__throw_bad_function_callv() { end("bad_function_call"); }
[[noreturn]] void _ZSt19__throw_logic_errorPKc(const char* what) { end(what); }
[[noreturn]] void _ZSt20__throw_length_errorPKc(const char* what) { end(what); }
[[noreturn]] void _ZSt24__throw_out_of_range_fmtPKcz(const char* what, ...) { end(what); }
[[noreturn]] void _ZSt20__throw_system_errori(int code) { end(strerror(code)); }
[[noreturn]] void _ZSt21__glibcxx_assert_failPKciS0_S0_(const char*, int, const char*, const char* what) { end(what); }

Node* _ZSt18_Rb_tree_incrementPSt18_Rb_tree_node_base(Node* x) {
  if (x->right) return leftmost(x->right);
  Node* y = x->parent;
  while (x == y->right) x = y, y = y->parent;
  return x->right != y ? y : x;  // from the last to the header, which is the parent of the root
}

Node* _ZSt18_Rb_tree_decrementPSt18_Rb_tree_node_base(Node* x) {
  if (x->color == kRed && x->parent->parent == x) return x->right;  // the header, which is red
  if (x->left) return rightmost(x->left);
  Node* y = x->parent;
  while (x == y->left) x = y, y = y->parent;
  return y;
}

void _ZSt29_Rb_tree_insert_and_rebalancebPSt18_Rb_tree_node_baseS0_RS_(bool left, Node* x, Node* parent, Node& header) {
  *x = {kBlack, parent, nullptr, nullptr};
  if (parent == &header) {
    header.parent = header.left = header.right = x;
  } else if (left) {
    parent->left = x;
    if (parent == header.left) header.left = x;
  } else {
    parent->right = x;
    if (parent == header.right) header.right = x;
  }
}

Node* _ZSt28_Rb_tree_rebalance_for_erasePSt18_Rb_tree_node_baseRS_(Node* x, Node& header) {
  if (header.left == x) header.left = x->right ? leftmost(x->right) : x->parent;
  if (header.right == x) header.right = x->left ? rightmost(x->left) : x->parent;
  if (!x->left || !x->right) {
    replace(x, x->left ? x->left : x->right, header);
    return x;
  }
  Node* next = leftmost(x->right);
  if (next != x->right) {
    replace(next, next->right, header);
    next->right = x->right;
    next->right->parent = next;
  }
  replace(x, next, header);
  next->left = x->left;
  next->left->parent = next;
  return x;
}

size_t _ZNKSt8__detail20_Prime_rehash_policy11_M_next_bktEm(const RehashPolicy* self, size_t at_least) {
  size_t buckets = 13;
  while (buckets < at_least) buckets = 2 * buckets + 1;
  const_cast<RehashPolicy*>(self)->next_resize = static_cast<size_t>(static_cast<double>(buckets) * self->max_load);
  return buckets;
}

Rehash _ZNKSt8__detail20_Prime_rehash_policy14_M_need_rehashEmmm(const RehashPolicy* self, size_t buckets, size_t elements,
                                                                  size_t more) {
  if (elements + more <= self->next_resize) return {false, 0};
  const double wanted = static_cast<double>(elements + more) / self->max_load;
  if (wanted < static_cast<double>(buckets)) {
    const_cast<RehashPolicy*>(self)->next_resize = static_cast<size_t>(static_cast<double>(buckets) * self->max_load);
    return {false, 0};
  }
  const size_t grown = static_cast<size_t>(wanted) + 1;
  return {true, _ZNKSt8__detail20_Prime_rehash_policy11_M_next_bktEm(self, grown > 2 * buckets ? grown : 2 * buckets)};
}

size_t _ZSt11_Hash_bytesPKvmm(const void* bytes, size_t size, size_t seed) {  // FNV-1a
  size_t hash = 14695981039346656037u ^ seed;
  for (size_t i = 0; i < size; i++) hash = (hash ^ static_cast<const unsigned char*>(bytes)[i]) * 1099511628211u;
  return hash;
}

void _ZNSt8__detail15_List_node_base7_M_hookEPS0_(ListNode* self, ListNode* before) {
  *self = {before, before->previous};
  before->previous->next = self;
  before->previous = self;
}

void _ZNSt8__detail15_List_node_base9_M_unhookEv(ListNode* self) {
  self->previous->next = self->next;
  self->next->previous = self->previous;
}

void _ZNSt18condition_variableC1Ev(pthread_cond_t* self) { *self = PTHREAD_COND_INITIALIZER; }
void _ZNSt18condition_variableD1Ev(pthread_cond_t* self) { pthread_cond_destroy(self); }
void _ZNSt18condition_variable10notify_oneEv(pthread_cond_t* self) { pthread_cond_signal(self); }
void _ZNSt18condition_variable10notify_allEv(pthread_cond_t* self) { pthread_cond_broadcast(self); }
void _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(pthread_cond_t* self, UniqueLock& lock) {
  pthread_cond_wait(self, lock.mutex);
}

int __cxa_guard_acquire(unsigned char* guard) {  // Itanium C++ ABI, 3.3.3: the first byte says "done"; the second is ours
  for (;;) {
    if (__atomic_load_n(guard, __ATOMIC_ACQUIRE)) return 0;
    if (!__atomic_exchange_n(guard + 1, 1, __ATOMIC_ACQUIRE)) {
      if (!__atomic_load_n(guard, __ATOMIC_ACQUIRE)) return 1;
      __atomic_store_n(guard + 1, 0, __ATOMIC_RELEASE);
      return 0;
    }
    sched_yield();
  }
}

void __cxa_guard_release(unsigned char* guard) {
  __atomic_store_n(guard, 1, __ATOMIC_RELEASE);
  __atomic_store_n(guard + 1, 0, __ATOMIC_RELEASE);
}

// The tables of the classes behind typeid: Bun's objects point there, and nobody reads them.
void* class_info[16] __asm__("_ZTVN10__cxxabiv117__class_type_infoE");
void* single_info[16] __asm__("_ZTVN10__cxxabiv120__si_class_type_infoE");
void* multiple_info[16] __asm__("_ZTVN10__cxxabiv121__vmi_class_type_infoE");

[[noreturn]] void __cxa_pure_virtual() { end("pure virtual function called"); }
[[noreturn]] void __cxa_bad_typeid() { end("bad_typeid"); }
[[noreturn]] void __dynamic_cast() { end("dynamic_cast"); }
[[noreturn]] void _ZSt9terminatev() { end("terminate"); }
void* _ZSt13set_terminatePFvvE(void*) { return nullptr; }
void* _ZSt15get_new_handlerv() { return nullptr; }
char* __cxa_demangle(const char*, char*, size_t*, int* status) {
  if (status) *status = -2;  // not a name that it knows
  return nullptr;
}

long long _ZNSt6chrono3_V212steady_clock3nowEv() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000ll + now.tv_nsec;
}

}  // extern "C"
