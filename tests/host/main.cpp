#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <map>

#include "tests/host/host.hpp"
#include "tests/host/options.hpp"

namespace {

using namespace tlsmux::host;

// One of several words; `names` must name every value.
template <typename Value>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Value& value, const std::map<std::string, Value>& names,
                        const std::string& text) {
  return app.add_option(name, value, text)
      ->transform(CLI::CheckedTransformer(names))
      ->option_text(CLI::detail::join(names, [](const auto& pair) { return pair.first; }, "|"));
}

void add_tls_options(CLI::App& app, Options& options) {
  const auto group = "TLS";
  auto& tls = options.tls;
  app.add_option("--certificate", tls.certificate_file, "PEM file of the host's certificate chain")
      ->required()
      ->check(CLI::ExistingFile)
      ->group(group);
  app.add_option("--key", tls.key_file, "PEM file of its key")->required()->check(CLI::ExistingFile)->group(group);
  const auto ca = app.add_option("--ca", tls.ca_file, "PEM file of the authorities of client certificates")
                      ->check(CLI::ExistingFile)
                      ->group(group);
  add_choice<TlsVersion>(app, "--tls", tls.version,
                         {{"1.2", TlsVersion::v1_2}, {"1.3", TlsVersion::v1_3}, {"any", TlsVersion::any}},
                         "versions offered")
      ->group(group);
  add_choice<ClientCertificate>(app, "--client-certificate", tls.client_certificate,
                                {{"none", ClientCertificate::none},
                                 {"request", ClientCertificate::request},
                                 {"require", ClientCertificate::require}},
                                "needs --ca unless none")
      ->group(group);
  app.add_option("--ciphers", tls.ciphers, "OpenSSL suite names, joined by colons")->group(group);
  app.add_option("--ticket-keys", tls.ticket_keys_file,
                 "file of ticket keys, made when missing: sessions are resumed after a restart")
      ->group(group);
  app.add_flag("--handshake-stall", options.handshake_stall, "accept connections and never answer")->group(group);
  app.callback([&tls, ca] {
    if (tls.client_certificate != ClientCertificate::none && ca->count() == 0) {
      throw CLI::RequiresError("--client-certificate", "--ca");
    }
  });
}

void add_framing_options(CLI::App& app, Framing& framing) {
  const auto group = "Framing";
  add_choice<FramingKind>(
      app, "--framing", framing.kind,
      {{"length16", FramingKind::length16}, {"length32", FramingKind::length32}, {"ascii4", FramingKind::ascii4}},
      "2 or 4 bytes, most significant first, or 4 digits")
      ->group(group);
  app.add_flag("--length-includes-itself", framing.length_includes_itself)->group(group);
  app.add_option("--message-bytes-max", framing.message_bytes_max, "longer ones close the connection")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str()
      ->group(group);
}

void add_answer_options(CLI::App& app, Behaviour& behaviour) {
  const auto group = "Answers";
  add_choice<Mode>(app, "--mode", behaviour.mode,
                   {{"iso8583", Mode::iso8583}, {"echo", Mode::echo}, {"sink", Mode::sink}},
                   "answer ISO 8583:1987 ASCII requests, send everything back, or never answer")
      ->group(group);
  add_choice<OnUnparsable>(app, "--on-unparsable", behaviour.on_unparsable,
                           {{"ignore", OnUnparsable::ignore}, {"close", OnUnparsable::close}},
                           "when a message is not ISO 8583")
      ->group(group);
  app.add_option("--delay-us", behaviour.delay_us, "time before each answer")->group(group);
  const auto jitter = app.add_option("--jitter-us", behaviour.jitter_us, "up to so much more, uniformly")->group(group);
  app.add_flag("--out-of-order", behaviour.out_of_order, "let jitter change the order on a connection")
      ->needs(jitter)
      ->group(group);
  const CLI::Range percent(0.0, 100.0);
  app.add_option("--refuse-percent", behaviour.refuse_percent, "answered with 39=05")->check(percent)->group(group);
  app.add_option("--silent-percent", behaviour.silent_percent, "not answered")->check(percent)->group(group);
  app.add_option("--duplicate-percent", behaviour.duplicate_percent, "answered twice")->check(percent)->group(group);
  app.add_flag("--echo-keep-alives", behaviour.echo_keep_alives, "send frames of length zero back")->group(group);
  app.add_option("--seed", behaviour.seed, "of all that is random")->capture_default_str()->group(group);
}

void add_trouble_options(CLI::App& app, Options& options) {
  const auto group = "Trouble";
  auto& behaviour = options.behaviour;
  app.add_option("--close-after", behaviour.close_after,
                 "close a connection, with close_notify, instead of answering its Nth message")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_flag("--close-hard", options.close_hard, "close with a reset (RST) instead, and send nothing more")
      ->group(group);
  app.add_option("--unsolicited-every", behaviour.unsolicited_every, "send an 0800 of its own at every Nth message")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_option("--oversize-after", behaviour.oversize_after,
                 "at a connection's Nth message send a header with the longest length it can say")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_option("--connections-max", options.connections_max, "close any above so many as soon as accepted")
      ->check(CLI::PositiveNumber)
      ->group(group);
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--listen", options.listen, "numeric ADDRESS:PORT, port 0 for any")->capture_default_str();
  app.add_option("--record", options.record_file,
                 "append a line per received message: received CONNECTION SEQUENCE KEY_HEX LENGTH FNV1A64");
  app.add_option("--report", options.report_file, "write totals as JSON here at the end, and on SIGUSR1");
  add_tls_options(app, options);
  add_framing_options(app, options.framing);
  add_answer_options(app, options.behaviour);
  add_trouble_options(app, options);
}

// The signals are read by Host; a peer that is gone shows in the result of a write.
void prepare_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void raise_descriptor_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int fail(const std::string& reason) {
  std::fprintf(stderr, "tlsmux-host: %s\n", reason.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("A TLS payment host that answers, delays, refuses and misbehaves as told.", "tlsmux-host");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);

  prepare_signals();
  raise_descriptor_limit();
  const auto host = Host::open(options);
  if (!host) return fail(host.error());
  std::printf("listening %s\n", (*host)->address().c_str());
  std::fflush(stdout);
  const auto result = (*host)->run();
  return result ? 0 : fail(result.error());
}
