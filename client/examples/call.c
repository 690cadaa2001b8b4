/* Sends one request to an upstream and prints how it ended: call UPSTREAM MESSAGE */
#include <stdio.h>
#include <string.h>
#include <tlsmux/tlsmux.h>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  tmx_client* client = NULL;
  char why[256] = "";
  tmx_attach_options options = {.struct_bytes = sizeof options, .error_text = why, .error_text_bytes = sizeof why};
  int error = tmx_attach(&options, &client); /* to the group in TLSMUX_GROUP */
  if (error < 0) return fprintf(stderr, "attach: %s\n", *why ? why : tmx_error_text(error)), 1;

  tmx_channel* channel = NULL;
  error = tmx_channel_open(client, argv[1], &channel);
  if (error < 0) return fprintf(stderr, "open: %s\n", tmx_error_text(error)), tmx_detach(client), 1;

  char response[4096];
  tmx_result result;
  error = tmx_call(channel, argv[2], (uint32_t)strlen(argv[2]), response, sizeof response, 5000, &result);
  if (error < 0) /* not sent either */
    fprintf(stderr, "call: %s\n", tmx_error_text(error));
  else if (result.outcome == TMX_ANSWERED) /* use it */
    printf("ANSWERED %.*s\n", (int)(result.length < sizeof response ? result.length : sizeof response), response);
  else if (result.outcome == TMX_NOT_SENT) /* safe to send again, or elsewhere */
    printf("NOT_SENT %s\n", tmx_reason_text(result.reason));
  else /* TMX_MAYBE_SENT: reverse it */
    printf("MAYBE_SENT %s\n", tmx_reason_text(result.reason));
  tmx_channel_close(channel);
  tmx_detach(client);
  return error < 0;
}
