// What a context is told while it computes: kernels stop within a node, so a yes must not be taken back.
#include "llama/abortable.h"

#include "check.h"

using namespace zse;

TEST("a step that was told to end is not told to go on, and the next one is asked anew") {
  Abortable abortable;
  llama_context_params params = llama_context_default_params();
  abortable.install(params);
  const auto wanted = [&] { return params.abort_callback(params.abort_callback_data); };
  CHECK(!wanted());
  bool answer = false;
  int asked = 0;
  const AbortCheck check = [&] {
    asked++;
    return answer;
  };
  {
    const Abortable::Call call(abortable, &check);
    CHECK(!wanted());
    CHECK(!call.gave_up());
    answer = true;
    CHECK(wanted());
    answer = false;  // such as a newcomer for whom the step is too old by now
    CHECK(wanted());
    CHECK_EQ(asked, 2);
    CHECK(call.gave_up());
  }
  CHECK(!wanted());
  {
    const Abortable::Call call(abortable, &check);
    CHECK(!wanted());
    CHECK_EQ(asked, 3);
    CHECK(!call.gave_up());
  }
}
