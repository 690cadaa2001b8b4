/* Gets what an upstream sends unasked, late answers and orphans: subscriber UPSTREAM [COUNT]
 * Answers each message of the host with the message itself, as an echo test might; a real one would build the answer.
 * Ends after COUNT notices. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tlsmux/tlsmux.h>

static int echo(tmx_channel* channel, const tmx_completion* notice) {
  tmx_buffer buffer;
  int error = tmx_reserve(channel, &buffer);
  if (error < 0) return error;
  memcpy(buffer.data, notice->data, notice->length);
  error = tmx_reply(channel, notice, &buffer, notice->length, 0);
  if (error < 0) tmx_abandon(channel, &buffer);
  return error;
}

static int on_notice(tmx_channel* channel, const tmx_completion* notice) {
  int error = 0;
  if (notice->kind == TMX_UNSOLICITED) {
    error = echo(channel, notice);
    printf("the host sent %u bytes: %s\n", notice->length, error < 0 ? tmx_error_text(error) : "echoed");
  } else if (notice->kind == TMX_LATE) {
    /* Its request ended without an answer: if it was reversed, this needs nothing. */
    printf("late answer of %u bytes to request %llu\n", notice->length, (unsigned long long)notice->tag);
  } else {
    /* TMX_MAYBE_SENT: reverse it. TMX_ANSWERED: an approval that nobody has seen, reverse it too. */
    printf("orphan of %u bytes: %s %s\n", notice->request_length, tmx_outcome_name(notice->outcome),
           tmx_reason_name(notice->reason));
  }
  /* Only now: an orphan that was not released goes to the next subscriber if this process dies. */
  return tmx_release(channel, notice), error;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  tmx_client* client = NULL;
  int error = tmx_attach(NULL, &client); /* to the group in TLSMUX_GROUP */
  if (error < 0) return fprintf(stderr, "attach: %s\n", tmx_error_text(error)), 1;

  tmx_channel_options options = {0};
  options.struct_bytes = sizeof options;
  options.flags = TMX_SUBSCRIBE_UNSOLICITED | TMX_SUBSCRIBE_LATE | TMX_SUBSCRIBE_ORPHANS;
  tmx_channel* channel = NULL;
  error = tmx_channel_open_with(client, argv[1], &options, &channel);
  if (error < 0) return fprintf(stderr, "open: %s\n", tmx_error_text(error)), tmx_detach(client), 1;

  long left = argc > 2 ? atol(argv[2]) : -1; /* notices; below 0: without end */
  long replies = 0;                          /* without an outcome yet */
  while (error == 0 && (left != 0 || replies > 0)) {
    tmx_completion completion;
    int count = tmx_poll(channel, &completion, 1, 3600 * 1000);
    if (count < 0) error = count;
    if (count <= 0) continue;
    if (completion.kind == TMX_OUTCOME) { /* of a reply: MAYBE_SENT reply_sent is as good as it gets */
      --replies;
      printf("reply: %s\n", tmx_reason_text(completion.reason));
      continue;
    }
    if (on_notice(channel, &completion) == 0 && completion.kind == TMX_UNSOLICITED) ++replies;
    if (left > 0) --left;
  }
  if (error < 0) fprintf(stderr, "poll: %s\n", tmx_error_text(error));
  tmx_channel_close(channel);
  tmx_detach(client);
  return error < 0;
}
