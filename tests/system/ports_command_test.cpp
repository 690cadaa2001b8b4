// `tlsmux ports` as scripts use it, with a real engine.

#include <fcntl.h>
#include <sys/wait.h>
#include <tlsmux/ports.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "tests/system/await.hpp"
#include "tests/system/port_scene.hpp"
#include "tests/system/port_status.hpp"
#include "tests/system/port_user.hpp"
#include "tests/system/terminal.hpp"

namespace tlsmux::test {
namespace {

using shm::PortState;

// The exit code of a shell script; $T is the command, $G the scene's first group.
int run_script(const PortScene& scene, const Identity& who, const std::string& script) {
  const auto text = "T=" TLSMUX_PROGRAM_FOLDER "/tlsmux\nG=" + scene.first() + "\n" + script;
  return scene.as(who, [&] {
    const int status = std::system(text.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
  });
}

// What a member that binds is told; of the other user of the first group.
std::string words_for_member(const PortScene& scene, const char* port_type) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  const shm::UniqueFd reading(ends[0]);
  shm::UniqueFd writing(ends[1]);
  CHECK(scene.as(kFirstByGid, [&] {
    tmx_attach_options options{};
    options.struct_bytes = sizeof options;
    options.group = scene.first().c_str();
    tmx_client* client = nullptr;
    if (::tmx_attach(&options, &client) != 0) return 1;
    if (::tmx_client_bind(client, make_socket().get(), nullptr, 0, port_type) == 0) return 2;
    std::array<char, 512> text{};
    const auto length = static_cast<std::size_t>(::tmx_client_last_error(client, text.data(), text.size()));
    return ::write(writing.get(), text.data(), length) == static_cast<ssize_t>(length) ? 0 : 3;
  }) == 0);
  writing.reset();
  std::array<char, 512> text{};
  const auto length = ::read(reading.get(), text.data(), text.size());
  return {text.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
}

}  // namespace

TEST_CASE("ports.the command claims for the shell that runs it, and gives back") {
  if (skip_without_network_namespaces()) return;
  const PortScene scene;
  CHECK(run_script(scene, kFirstUser, R"sh(
    p=$($T ports claim $G dynamic || exit 9) || exit 1
    [ "$p" -ge 12000 ] && [ "$p" -le 12099 ] || exit 2
    $T ports $G | grep -q "^   $p/tcp *claimed *[0-9]* s *$$ " || exit 3
    [ "$($T ports claim $G static:first --protocol udp)" = 12500 ] || exit 4
    $T ports release $G $p --for 1 2>/dev/null && exit 5
    $T ports release $G $p || exit 6
    while $T ports $G | grep -q " $p/tcp *claimed "; do :; done
    $T ports release $G $p 2>/dev/null && exit 7
    $T ports claim $G static:nonsense 2>/dev/null; [ $? = 1 ] || exit 8
    $T ports claim $G nonsense 2>/dev/null; [ $? = 2 ] || exit 10
  )sh") == 0);
  // The shell has ended.
  await([&] {
    return port_state(scene.first(), {.protocol = ports::Protocol::udp, .number = kFirstStatic}) == PortState::free;
  });
  CHECK(run_script(scene, kOutsider, "$T ports claim $G dynamic 2>/dev/null") == 5);
  CHECK(run_script(scene, kOutsider, "$T ports $G >/dev/null 2>&1") == 5);
  CHECK(run_script(scene, kRoot, "$T ports $G --check >/dev/null") == 0);
}

TEST_CASE("ports.who is refused a port is told who holds it, by the command and by the interface") {
  if (skip_without_network_namespaces()) return;
  const PortScene scene;
  PortUser holder(scene, kFirstUser);
  REQUIRE(holder.bind_service(scene.first(), "static:first").port == kFirstStatic);
  const auto who = "process " + std::to_string(holder.pid()) + " of uid " + std::to_string(kFirstUser.uid);
  const auto words = "port 12500/tcp is held by " + who + "; end that, or use another; `tlsmux ports " + scene.first() +
                     "` shows who has which";
  CHECK(words_for_member(scene, "static:first") == words);
  CHECK(run_script(scene, kFirstByGid,
                   "[ \"$($T ports claim $G static:first 2>&1)\" = 'tlsmux ports claim: " + words + "' ]") == 0);
  CHECK(words_for_member(scene, "static:second").contains("no static tcp port has this label; add it to ports.static"));
  // Granted, and then the kernel's to refuse.
  CHECK(words_for_member(scene, "static:low").starts_with("binding port 700/tcp: Permission denied; ports below net."));
}

TEST_CASE("ports.the command tells who holds a group's port and is no member") {
  if (skip_without_network_namespaces()) return;
  const PortScene scene;
  shm::UniqueFd socket;
  scene.network().in_thread([&] { socket = listening_socket({}, kFirstRange.from); });
  const auto port = std::to_string(kFirstRange.from) + "/tcp";
  CHECK(run_script(scene, kRoot, "$T ports $G >/dev/null") == 0);
  CHECK(run_script(scene, kRoot, "$T ports $G --check >/dev/null") == 1);
  await([&] {
    return port_state(scene.first(), {.protocol = ports::Protocol::tcp, .number = kFirstRange.from}) ==
           PortState::external;
  });
  CHECK(run_script(scene, kRoot, "$T ports $G | grep -q '^!  " + port + "  *external '") == 0);
  CHECK(run_script(scene, kRoot, "$T ports $G | grep -q '^! " + port + " stranger: pid .* is no member'") == 0);
  CHECK(run_script(scene, kRoot, "$T ports $G --json --check >/dev/null") == 1);
  // The kernel's word of another network namespace would be worth nothing.
  const auto elsewhere =
      run_tlsmux("ports " + scene.first() + " --check --control-socket " + scene.config.engine.control_socket);
  CHECK(elsewhere.text.contains("WARNING: not compared with the kernel: the engine is in another network namespace"));
  CHECK(elsewhere.exit_code == 0);
}

TEST_CASE("ports.the command tells whom the guard has refused") {
  if (skip_without_guard()) return;
  const PortScene scene(PortScene::Level::guard);
  CHECK(scene.as(kOutsider, [] { return bind_socket(make_socket().get(), kFirstRange.to); }) == EACCES);
  await([&] { return !port_denials(scene.first()).empty(); });
  CHECK(run_script(scene, kFirstUser, R"sh(
    $T ports $G | grep -q '^levels: api on, preload off, reservation on, holders off, guard on$' || exit 1
    $T ports $G | grep -q '^claims 0, refused 0; binds denied by the guard 1$' || exit 2
    $T ports $G | grep -q '^12099/tcp .* 1703$' || exit 3
  )sh") == 0);
}

TEST_CASE("ports.the command watches until it is interrupted, and says when there is no engine") {
  if (skip_without_network_namespaces()) return;
  PortScene scene;
  CHECK(run_script(scene, kFirstUser, R"sh(
    d=$(mktemp -d) && mkfifo $d/pipe || exit 1
    $T ports $G --watch --json > $d/pipe & w=$!
    exec 3< $d/pipe
    rm -r $d
    read -r first <&3 || exit 2
    read -r second <&3 || exit 3
    case $second in '{"groups":[{"group":"'*) ;; *) exit 4 ;; esac
    kill -INT $w
    wait $w
  )sh") == 0);
  scene.stop();
  CHECK(run_script(scene, kRoot, "$T ports $G 2>/dev/null") == 5);
  CHECK(run_script(scene, kRoot, "$T ports 2>/dev/null") == 5);
  CHECK(run_script(scene, kFirstUser, "$T ports claim $G dynamic 2>/dev/null") == 5);
}

TEST_CASE("ports.the command watches on a terminal's other screen, in what fits there, and leaves it as it was") {
  if (skip_without_network_namespaces()) return;
  constexpr unsigned short kRows = 200;
  constexpr unsigned short kColumns = 150;
  PortScene scene;
  Terminal terminal(
      {TLSMUX_PROGRAM_FOLDER "/tlsmux", "ports", scene.first(), "--watch"}, [&] { scene.enter(kFirstUser); }, kRows,
      kColumns);
  const auto whole = terminal.next_screen();
  CHECK(terminal.written().starts_with("\x1b[?1049h\x1b[?25l\x1b[H"));  // the other screen, no cursor, its beginning
  REQUIRE(whole.size() > 5);
  CHECK(whole.size() <= kRows);
  CHECK_MESSAGE(whole[0].contains(scene.first()), whole[0]);

  terminal.resize(5, 40);
  const auto part = terminal.await_screen([&](const auto& lines) { return lines.size() < whole.size(); });
  CHECK(part.size() == 5);
  CHECK(part[0] == whole[0].substr(0, 40));
  CHECK(part[4] == "... and " + std::to_string(whole.size() - 4) + " lines that do not fit here");

  scene.stop();
  const auto last = terminal.await_screen([](const auto& lines) { return lines.size() == 1; });
  CHECK_MESSAGE(last[0].starts_with("tlsmux ports: "), last[0]);
  CHECK(terminal.interrupt() == 5);
  CHECK(terminal.written().ends_with("\x1b[?25h\x1b[?1049l"));
}

}  // namespace tlsmux::test
