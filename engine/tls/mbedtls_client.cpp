#include "engine/tls/mbedtls_client.hpp"

#include <string>
#include <utility>

#include "engine/tls/client_context.hpp"
#include "engine/tls/mbedtls_session.hpp"

namespace tlsmux::engine::tls {
namespace {

class MbedtlsClient final : public TlsClient {
 public:
  explicit MbedtlsClient(std::shared_ptr<ClientContext> context) : context_(std::move(context)) {}

  std::expected<std::unique_ptr<TlsSession>, TlsError> start(const std::string& server_name) override {
    auto session = std::make_unique<MbedtlsSession>(context_, server_name);
    if (auto prepared = session->prepare(); !prepared) return std::unexpected(prepared.error());
    return session;
  }

 private:
  std::shared_ptr<ClientContext> context_;
};

}  // namespace

std::expected<std::unique_ptr<TlsClient>, TlsError> make_mbedtls_client(TlsLibrary& library,
                                                                        const config::TlsSettings& settings,
                                                                        const TlsMaterial& material) {
  auto credentials = parse_credentials(material, library.random());
  if (!credentials) return std::unexpected(TlsError{.words = credentials.error()});
  if (settings.verify_peer && !(*credentials)->has_authorities) {
    return std::unexpected(TlsError{
        shm::Reason::certificate_untrusted,
        "there is no CA certificate to verify the host with: set ca_file or ca_directory, and see that it holds one"});
  }
  auto context = std::make_shared<ClientContext>(settings, std::move(*credentials));
  if (auto configured = context->configure(library); !configured) return std::unexpected(configured.error());
  return std::make_unique<MbedtlsClient>(std::move(context));
}

}  // namespace tlsmux::engine::tls
