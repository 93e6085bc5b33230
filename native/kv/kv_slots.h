// Owns the table of the KV cache's slots: which stream has which, and the tokens whose keys and values each holds, also after its
// stream has ended. Every change of a slot goes through here, so that the table and the KV cache never disagree. Decode thread only.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "core/decoder.h"
#include "core/ids.h"
#include "core/moved.h"
#include "core/prompt.h"
#include "saved_prefix.h"

namespace zse {

class KvSlots {
 public:
  struct Slot {
    StreamId owner = 0;  // 0: free
    Prompt content;
    int prompt_tokens = 0;                   // of those, the ones computed as pieces of a prompt
    Checkpoints checkpoints;                 // where it can be cut, if the model's memory cannot
    uint64_t released = 0;                   // when it came free, in order
    std::filesystem::file_time_type used{};  // the same, by the clock of files
    int shared = 0;                          // of its tokens, those whose cells another slot may have, too
    MovedChunks aside;                       // what it held before at other places, until its tokens come to them
    bool written = false;                    // to disk, or tried to: once is enough, whatever becomes of the file
    bool kept = false;                       // in RAM, or tried to
    bool considered = false;                 // for being kept before anybody needs its place
    bool abandoned = false;                  // its reader left in the middle of the prompt
  };

  explicit KvSlots(Decoder& decoder);

  int size() const { return static_cast<int>(slots_.size()); }
  int free_count() const { return free_; }
  const Slot& operator[](SlotId slot) const { return slots_[slot]; }

  /** For asserts: whether this stream has the slot, which holds so many tokens, of its prompt first. */
  bool agree(SlotId slot, StreamId owner, int in_cache, const Prompt& prompt) const;

  /** The free slot that is missed least: an empty one, an abandoned one, else the one free for longest. -1 when there is none besides `but`. */
  SlotId least_valuable(SlotId but = -1) const;

  void take(SlotId slot, StreamId owner);
  /** The stream is done with it; what it holds stays until somebody needs the place, and is not worth saving then if `abandoned`. */
  void release(SlotId slot, bool abandoned = false);

  void mark_written(SlotId slot) { slots_[slot].written = true; }
  void mark_kept(SlotId slot) { slots_[slot].kept = true; }
  void mark_considered(SlotId slot) { slots_[slot].considered = true; }

  /** What a step has added to a slot, by this variant of the model. */
  void extend(SlotId slot, Variant variant, const Token* tokens, int count, bool of_prompt);

  /** What a step has computed beyond what a slot is known to hold is taken back. False, and it is empty, where that could not be. */
  bool take_back(SlotId slot);

  void clear(SlotId slot);
  /** Whether a stream that uses so many tokens of a free slot gets the slot itself: not where others may want more of it. */
  bool worth_taking(SlotId slot, int tokens) const {
    return 2 * tokens >= static_cast<int>(slots_[slot].content.size()) || free_ == 1;
  }
  /** Tokens of a slot that can be used for a prompt. */
  int usable(SlotId slot, const ReuseRule& rule, const Prompt& prompt) const;

  /** Keeps what the slot holds now as a place to cut it at. False where there is no memory for it, or no use. */
  bool add_checkpoint(SlotId slot);
  /** Tokens of the last place; 0: there is none. */
  int last_checkpoint(SlotId slot) const;
  /** Makes room for one more: of those that a conversation has gone past, the oldest but the first, which many conversations may share. */
  void thin_checkpoints(SlotId slot);
  /** Gives up those of one slot: of a free one's, the one free for longest, else of any, but for `but`. False: there are none. */
  bool drop_checkpoints(SlotId but = -1);
  /** Of all slots. */
  size_t checkpoint_bytes() const { return checkpoint_bytes_; }

  /** Keeps the first `tokens`; false, and the slot is empty, where the model cannot. */
  bool cut(SlotId slot, int tokens);
  /** Puts the first `tokens` of one slot into another; false, and `to` is empty, where that cannot be. */
  bool copy(SlotId from, SlotId to, int tokens);

  /** Keeps the first `tokens`, and these parts of what it held, aside: each is put back when its place has come. */
  void set_aside(SlotId slot, int tokens, MovedChunks chunks);
  /** Tokens to the next of them; INT_MAX: there is none. */
  int until_moved(SlotId slot) const;
  /** Puts back the next, whose place has come. Tokens of it. */
  int put_back(SlotId slot, const Prompt& prompt);

  size_t image_bytes(SlotId slot) const {
    return decoder_.image_bytes(slot) + slots_[slot].content.bytes() + bytes_of(slots_[slot].checkpoints);
  }

  /** Begins to copy a slot out: `prefix` is what it will have been. Nothing where there is no memory for it. */
  struct Save {
    SlotId slot;
    std::shared_ptr<const SavedPrefix> prefix;
    std::unique_ptr<SlotCopy> copy;
  };
  std::optional<Save> begin_save(SlotId slot) const;
  /** The same at once; null where there is no memory for it. */
  std::shared_ptr<const SavedPrefix> save(SlotId slot) const;

  /** Begins to put a prefix into a slot, which counts as empty until end_load(). Null, and it is empty, when the image is not of this model and prefix. */
  std::unique_ptr<SlotCopy> begin_load(SlotId slot, const SavedPrefix& prefix);
  void end_load(SlotId slot, const SavedPrefix& prefix);
  /** The same at once; false, and the slot is empty, when the image is not of this model. */
  bool load(SlotId slot, const SavedPrefix& prefix);

 private:
  int count_free() const;
  void set_checkpoints(Slot& slot, Checkpoints checkpoints);
  void forget(Slot& slot);

  Decoder& decoder_;
  std::vector<Slot> slots_;
  int free_;
  uint64_t releases_ = 0;
  size_t checkpoint_bytes_ = 0;
};

}  // namespace zse
