#include "engine/tls/mbedtls_client.hpp"

#include <string>
#include <utility>

#include "engine/tls/client_context.hpp"
#include "engine/tls/client_identity.hpp"
#include "engine/tls/mbedtls_session.hpp"

namespace tlsmux::engine::tls {
namespace {

class MbedtlsClient final : public TlsClient {
 public:
  MbedtlsClient(std::shared_ptr<ClientContext> context, const ClientIdentity& identity)
      : context_(std::move(context)), identity_(identity) {}

  std::expected<std::unique_ptr<TlsSession>, TlsError> start(const std::string& server_name) override {
    auto session = std::make_unique<MbedtlsSession>(context_, server_name);
    if (auto prepared = session->prepare(); !prepared) return std::unexpected(prepared.error());
    return session;
  }

  // Of this client if it has that identity, else new ones.
  [[nodiscard]] std::shared_ptr<TicketStore> tickets_for(const ClientIdentity& identity) const {
    return identity == identity_ ? context_->shared_tickets() : std::make_shared<TicketStore>();
  }

 private:
  std::shared_ptr<ClientContext> context_;
  ClientIdentity identity_;
};

}  // namespace

std::expected<std::unique_ptr<TlsClient>, TlsError> make_mbedtls_client(TlsLibrary& library,
                                                                        const config::TlsSettings& settings,
                                                                        const TlsMaterial& material,
                                                                        const TlsClient* earlier) {
  auto credentials = parse_credentials(material, library.random());
  if (!credentials) return std::unexpected(TlsError{.words = credentials.error()});
  if (settings.verify_peer && !(*credentials)->has_authorities) {
    return std::unexpected(TlsError{
        shm::Reason::certificate_untrusted,
        "there is no CA certificate to verify the host with: set ca_file or ca_directory, and see that it holds one"});
  }
  const ClientIdentity identity = client_identity(settings, material);
  const auto* replaced = dynamic_cast<const MbedtlsClient*>(earlier);
  auto tickets = replaced != nullptr ? replaced->tickets_for(identity) : std::make_shared<TicketStore>();
  auto context =
      std::make_shared<ClientContext>(settings, std::move(*credentials), material.key_log, std::move(tickets));
  if (auto configured = context->configure(library); !configured) return std::unexpected(configured.error());
  return std::make_unique<MbedtlsClient>(std::move(context), identity);
}

}  // namespace tlsmux::engine::tls
