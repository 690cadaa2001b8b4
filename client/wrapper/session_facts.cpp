#include "client/wrapper/session_facts.hpp"

#include <algorithm>
#include <ctime>
#include <initializer_list>

namespace tlsmux::wrapper {
namespace {

using Bytes = std::vector<unsigned char>;

constexpr unsigned char kInteger = 0x02;
constexpr unsigned char kOctets = 0x04;
constexpr unsigned char kSequence = 0x30;
constexpr unsigned char explicit_tag(unsigned number) { return static_cast<unsigned char>(0xa0 | number); }

// One element in DER (X.690 section 8.1).
Bytes element(unsigned char tag, const Bytes& content) {
  Bytes made{tag};
  const auto length = content.size();
  if (length < 0x80) {
    made.push_back(static_cast<unsigned char>(length));
  } else {
    made.push_back(0x83);
    for (const int shift : {16, 8, 0}) made.push_back(static_cast<unsigned char>(length >> shift));
  }
  made.insert(made.end(), content.begin(), content.end());
  return made;
}

Bytes integer(std::int64_t value) {
  Bytes content;
  do {
    content.insert(content.begin(), static_cast<unsigned char>(value));
    value >>= 8;
  } while (value != 0 || (content.front() & 0x80) != 0);
  // The shortest form there is, as DER demands.
  return element(kInteger, content);
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

const unsigned char* octets(const std::vector<std::byte>& bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

void free_certificate(void* certificate) { openssl().X509_free(static_cast<X509*>(certificate)); }

// Takes the certificate in any case.
bool push(const Chain& chain, X509* certificate) {
  const bool is_in = openssl().OPENSSL_sk_push(reinterpret_cast<OPENSSL_STACK*>(chain.get()), certificate) > 0;
  if (!is_in) openssl().X509_free(certificate);
  return is_in;
}

bool has_version(SSL* ssl, int version) {
  const auto least = openssl().SSL_ctrl(ssl, SSL_CTRL_GET_MIN_PROTO_VERSION, 0, nullptr);
  const auto most = openssl().SSL_ctrl(ssl, SSL_CTRL_GET_MAX_PROTO_VERSION, 0, nullptr);
  const auto options = openssl().SSL_get_options(ssl);
  const auto without = version == TLS1_3_VERSION ? SSL_OP_NO_TLSv1_3 : SSL_OP_NO_TLSv1_2;
  // Before the handshake SSL_version says what the SSL_METHOD begins with, which is the most it can.
  return (least == 0 || version >= least) && (most == 0 || version <= most) && (options & without) == 0 &&
         version <= openssl().SSL_version(ssl);
}

bool has_suite(SSL* ssl, std::uint32_t suite) {
  const auto* const suites = reinterpret_cast<const OPENSSL_STACK*>(openssl().SSL_get_ciphers(ssl));
  for (int i = 0; i < openssl().OPENSSL_sk_num(suites); ++i) {
    const auto* const known = static_cast<const SSL_CIPHER*>(openssl().OPENSSL_sk_value(suites, i));
    if (openssl().SSL_CIPHER_get_protocol_id(known) == suite) return true;
  }
  return false;
}

}  // namespace

void FreeChain::operator()(STACK_OF(X509) * chain) const {
  openssl().OPENSSL_sk_pop_free(reinterpret_cast<OPENSSL_STACK*>(chain), free_certificate);
}

Chain chain_of(const client::StreamSocket& stream, SSL_SESSION* session) {
  Chain chain(reinterpret_cast<STACK_OF(X509)*>(openssl().OPENSSL_sk_new_null()));
  X509* const own = openssl().SSL_SESSION_get0_peer(session);
  if (!chain || own == nullptr || openssl().X509_up_ref(own) == 0 || !push(chain, own)) return nullptr;
  for (const auto& certificate : stream.certificates().subspan(1)) {
    const auto* at = octets(certificate);
    X509* const read = openssl().d2i_X509(nullptr, &at, static_cast<long>(certificate.size()));
    if (read == nullptr || !push(chain, read)) return nullptr;
  }
  return chain;
}

// SSLSession of OpenSSL's i2d_SSL_SESSION(3), which it reads again: the one public way to set the peer's certificate.
Session session_of(const client::StreamSocket& stream, long verify_result, bool has_certificate) {
  constexpr std::int64_t kTimeoutS = 300;
  const auto& opened = stream.opened();
  const Bytes suite{static_cast<unsigned char>(opened.cipher_suite >> 8),
                    static_cast<unsigned char>(opened.cipher_suite)};
  Bytes certificate;
  if (has_certificate && !stream.certificates().empty()) {
    const auto& own = stream.certificates().front();
    certificate = element(explicit_tag(3), Bytes(octets(own), octets(own) + own.size()));
  }
  const auto whole =
      element(kSequence, joined({integer(1), integer(opened.tls_version), element(kOctets, suite), element(kOctets, {}),
                                 element(kOctets, {}), element(explicit_tag(1), integer(std::time(nullptr))),
                                 element(explicit_tag(2), integer(kTimeoutS)), certificate,
                                 element(explicit_tag(5), integer(verify_result))}));
  const auto* at = whole.data();
  return Session(openssl().d2i_SSL_SESSION(nullptr, &at, static_cast<long>(whole.size())));
}

const char* version_name(std::uint32_t tls_version) {
  switch (tls_version) {
    case TLS1_3_VERSION: return "TLSv1.3";
    case TLS1_2_VERSION: return "TLSv1.2";
    default: return "unknown";
  }
}

bool has_protocol(const std::string& offered, std::string_view name) {
  std::string_view rest = offered;
  while (!rest.empty()) {
    const std::size_t length = static_cast<unsigned char>(rest.front());
    if (rest.substr(1, length) == name) return true;
    rest.remove_prefix(std::min(rest.size(), length + 1));
  }
  return false;
}

bool fits(SSL* ssl, const shm::StreamOpened& opened, const std::string& offered) {
  const std::string_view alpn = opened.alpn.data();
  return has_version(ssl, static_cast<int>(opened.tls_version)) && has_suite(ssl, opened.cipher_suite) &&
         (alpn.empty() || offered.empty() || has_protocol(offered, alpn));
}

}  // namespace tlsmux::wrapper
