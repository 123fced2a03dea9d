/* Continues a sequence of token ids, in plain C:
 *
 *     generate MODEL.leat COUNT ID [ID...]
 *
 * Prints the new ids as they come. */
#include "leat/Runtime.h"

#include <stdio.h>
#include <stdlib.h>

static void check(leat_status *status) {
  if (!status)
    return;
  fprintf(stderr, "generate: %s\n", leat_status_message(status));
  leat_status_free(status);
  exit(1);
}

static int32_t print_token(void *context, int64_t token) {
  (void)context;
  printf("%lld\n", (long long)token);
  fflush(stdout);
  return 1; /* go on */
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: generate MODEL.leat COUNT ID [ID...]\n");
    return 2;
  }
  if (leat_runtime_api_version() < LEAT_RUNTIME_API_VERSION) {
    fprintf(stderr, "generate: the Leat runtime is older than this program\n");
    return 1;
  }
  leat_model *model;
  leat_session *session;
  leat_generator *generator;
  check(leat_model_load(argv[1], NULL, &model));
  check(leat_session_create(model, NULL, &session));
  leat_model_release(model); /* the session keeps it */
  check(leat_generator_create(session, NULL, &generator));

  size_t count = (size_t)argc - 3;
  int64_t *prompt = malloc(count * sizeof(*prompt));
  if (!prompt)
    return 1;
  for (size_t i = 0; i < count; ++i)
    prompt[i] = strtoll(argv[i + 3], NULL, 10);
  check(leat_generator_feed(generator, prompt, count));
  free(prompt);
  check(leat_generator_run(generator, strtoll(argv[2], NULL, 10), print_token, NULL, NULL));

  leat_generator_statistics statistics = LEAT_INIT(leat_generator_statistics);
  check(leat_generator_get_statistics(generator, &statistics));
  fprintf(stderr, "%lld tokens, %.1f tokens/s\n", (long long)statistics.generated_tokens,
          statistics.decode_seconds > 0 ? (double)statistics.generated_tokens / statistics.decode_seconds : 0.0);
  leat_generator_destroy(generator);
  leat_session_destroy(session);
  return 0;
}
