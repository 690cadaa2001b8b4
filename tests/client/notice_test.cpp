// What comes without having been asked for: late answers, messages of the host, orphans.
#include "tests/client/notice_fixture.hpp"

using namespace tlsmux::test;

TEST_CASE("client.a late answer comes with its request's tag") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const Subscriber subscriber(options);
  const auto notice = notice_after(subscriber.channel, "Ytoo late", 7);
  CHECK(notice.kind == TMX_LATE);
  CHECK(notice.tag == 7);
  CHECK(text_of(notice) == "too late");
  CHECK(notice.request == nullptr);
  CHECK(tmx_release(subscriber.channel, &notice) == 0);
  CHECK(tmx_release(subscriber.channel, &notice) == -EINVAL);
}

TEST_CASE("client.a message of the host can be answered") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const Subscriber subscriber(options);
  const auto first = notice_after(subscriber.channel, "U0800", 1);
  CHECK(first.kind == TMX_UNSOLICITED);
  CHECK(text_of(first) == "0800");
  CHECK(reply(subscriber.channel, first, "0810", 2) == 0);
  expect(subscriber.channel, 2, TMX_MAYBE_SENT, TMX_REASON_REPLY_SENT);
  CHECK(tmx_release(subscriber.channel, &first) == 0);
  // Also after the notice was given back.
  CHECK(reply(subscriber.channel, first, "0810 again", 3) == 0);
  expect(subscriber.channel, 3, TMX_MAYBE_SENT, TMX_REASON_REPLY_SENT);
  const auto replies = engine.replies();
  REQUIRE(replies.size() == 2);
  CHECK(replies[0].notice == first.notice);
  CHECK(replies[0].text == "0810");
  CHECK(replies[1].text == "0810 again");

  const auto late = notice_after(subscriber.channel, "Yno reply", 4);
  CHECK(reply(subscriber.channel, late, "x", 5) == -EINVAL);
  CHECK(reply(subscriber.channel, first, "", 5) == -EINVAL);
  CHECK(reply(subscriber.channel, first, std::string(201, 'x'), 5) == -EMSGSIZE);
}

TEST_CASE("client.an orphan tells what was asked and how it ended") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const Subscriber subscriber(options);
  const auto answered = notice_after(subscriber.channel, "OA 0200", 1);
  CHECK(answered.kind == TMX_ORPHAN);
  CHECK(answered.outcome == TMX_ANSWERED);
  CHECK(request_of(answered) == "OA 0200");
  CHECK(text_of(answered) == "A 0200");
  const auto lost = notice_after(subscriber.channel, "OL 0200", 2);
  CHECK(lost.outcome == TMX_MAYBE_SENT);
  CHECK(lost.reason == TMX_REASON_CLIENT_DIED);
  CHECK(lost.data == nullptr);
  CHECK(request_of(lost) == "OL 0200");
  CHECK(tmx_release(subscriber.channel, &answered) == 0);
  const auto refused = notice_after(subscriber.channel, "OR", 3);
  CHECK(refused.outcome == TMX_NOT_SENT);
  CHECK(request_of(refused) == "OR");
  CHECK(request_of(lost) == "OL 0200");  // still ours
}

TEST_CASE("client.released notices are lent again") {
  const FakeEngineNames names;
  const auto options = names.options();  // 4 pairs
  ThreadEngine engine(options);
  const Subscriber subscriber(options, 2);
  CHECK(engine.flags() == kAllFlags);
  wait_until([&] { return engine.pairs_lent() == 2; });
  for (std::uint64_t round = 0; round < 50; ++round) {
    const auto notice = notice_after(subscriber.channel, "U" + std::to_string(round), round);
    CHECK(text_of(notice) == std::to_string(round));
    CHECK(tmx_release(subscriber.channel, &notice) == 0);
  }
  wait_until([&] { return engine.pairs_lent() == 2; });
}

TEST_CASE("client.notices and requests do not starve each other") {
  const FakeEngineNames names;
  const auto options = names.options();  // 4 pairs, 2 of them for notices
  ThreadEngine engine(options);
  const Subscriber subscriber(options, 2);
  REQUIRE(send(subscriber.channel, "S", 100) == 0);
  // More notices than there is room for, none of them taken: the rest wait in the engine.
  for (std::uint64_t tag = 0; tag < 5; ++tag) {
    REQUIRE(send(subscriber.channel, "R", 50) == 0);
    tmx_completion completion = next(subscriber.channel);
    CHECK(completion.tag == 50);
  }
  REQUIRE(send(subscriber.channel, "U1", 1) == 0);
  tmx_buffer buffer;
  CHECK(tmx_reserve(subscriber.channel, &buffer) == -EAGAIN);  // both are in flight or not taken
  std::vector<tmx_completion> notices;
  for (int open = 1; open > 0 || notices.empty();) {
    const auto completion = next(subscriber.channel);
    if (completion.kind == TMX_OUTCOME) {
      --open;
      CHECK(tmx_release(subscriber.channel, &completion) == 0);
    } else {
      notices.push_back(completion);
    }
  }
  notices.push_back(notice_after(subscriber.channel, "U2", 2));
  // Both pairs are held: a third waits, requests go on.
  for (std::uint64_t tag = 3; tag < 8; ++tag) {
    REQUIRE(send(subscriber.channel, "U" + std::to_string(tag), tag) == 0);
    const auto completion = next(subscriber.channel);
    CHECK(completion.kind == TMX_OUTCOME);
    CHECK(tmx_release(subscriber.channel, &completion) == 0);
  }
  for (int expected = 3; expected < 8; ++expected) {
    CHECK(tmx_release(subscriber.channel, &notices.front()) == 0);
    notices.erase(notices.begin());
    notices.push_back(next(subscriber.channel));
    CHECK(text_of(notices.back()) == std::to_string(expected));
  }
  CHECK(tmx_cancel(subscriber.channel, 100) == 0);
  CHECK(next(subscriber.channel).tag == 100);
}

TEST_CASE("client.a call leaves notices for the poll") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const Subscriber subscriber(options);
  std::array<char, 16> response{};
  tmx_result result{};
  REQUIRE(tmx_call(subscriber.channel, "Ufor later", 10, response.data(), response.size(), kLongMs, &result) == 0);
  CHECK(result.outcome == TMX_ANSWERED);
  CHECK(std::string_view(response.data(), result.length) == "Ufor later");
  const auto notice = next(subscriber.channel);
  CHECK(notice.kind == TMX_UNSOLICITED);
  CHECK(text_of(notice) == "for later");
  expect_nothing(subscriber.channel);
}

TEST_CASE("client.an unreleased notice does not keep a channel from closing") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  auto wanted = attach_options(options);
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&wanted, &client) == 0);
  for (std::uint64_t round = 0; round < 10; ++round) {
    const auto flags = channel_options(kAllFlags, 2);
    tmx_channel* channel = nullptr;
    REQUIRE(tmx_channel_open_with(client, "HOST", &flags, &channel) == 0);
    notice_after(channel, "Uheld", 1);
    REQUIRE(send(channel, "Unot polled", 2) == 0);
    CHECK(tmx_channel_close(channel) == -EBUSY);  // for its request
    tmx_completion completion{};
    while (completion.tag != 2) completion = next(channel);
    REQUIRE(send(channel, "Ustill waiting", 3) == 0);
    while (completion.tag != 3) completion = next(channel);
    CHECK(tmx_channel_close(channel) == 0);
  }
  // The engine has them all back, lent pairs or not.
  tmx_completion nothing{};
  tmx_channel* other = nullptr;
  REQUIRE(tmx_channel_open(client, "HOST", &other) == 0);
  wait_until([&] {
    tmx_poll(other, &nothing, 1, 1);
    return engine.channels() == 1;
  });
  CHECK(tmx_channel_close(other) == 0);
  CHECK(tmx_detach(client) == 0);
}

TEST_CASE("client.options of a channel are checked") {
  const FakeEngineNames names;
  const auto options = names.options();  // 4 pairs
  const ThreadEngine engine(options);
  auto wanted = attach_options(options);
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&wanted, &client) == 0);
  tmx_channel* channel = nullptr;
  const auto open = [&](const tmx_channel_options& given, const char* upstream = "HOST") {
    const int error = tmx_channel_open_with(client, upstream, &given, &channel);
    if (error == 0) CHECK(tmx_channel_close(channel) == 0);
    return error;
  };
  CHECK(open(channel_options(16, 0)) == -EINVAL);
  CHECK(open(channel_options(kAllFlags, 4)) == -EINVAL);
  CHECK(open(channel_options(kAllFlags, 3)) == 0);
  CHECK(open(channel_options(kAllFlags, 0)) == 0);
  CHECK(open(channel_options(0, 1000)) == 0);  // without flags nothing is set aside
  CHECK(open(channel_options(TMX_SUBSCRIBE_UNSOLICITED, 1), "HOST2") == -EACCES);
  CHECK(open(channel_options(TMX_SUBSCRIBE_LATE, 1), "HOST2") == 0);
  auto longer = channel_options(0, 0);
  longer.struct_bytes -= 1;
  CHECK(open(longer) == -EINVAL);
  longer = channel_options(0, 0);
  longer.reserved[4] = 1;
  CHECK(open(longer) == -EINVAL);
  REQUIRE(tmx_channel_open_with(client, "HOST", nullptr, &channel) == 0);
  CHECK(tmx_channel_close(channel) == 0);
  CHECK(tmx_detach(client) == 0);
}

TEST_CASE("client.the descriptor is ready for a notice") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const Subscriber subscriber(options);
  const Subscriber other(options);
  REQUIRE(tmx_channel_descriptor(subscriber.channel) >= 0);
  for (std::uint64_t round = 0; round < 20; ++round) {
    const auto notice = notice_after(subscriber.channel, "U", round);
    CHECK(tmx_release(subscriber.channel, &notice) == 0);
    expect_nothing(subscriber.channel);
  }
}
