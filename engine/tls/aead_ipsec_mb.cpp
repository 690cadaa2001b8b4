#include "engine/tls/aead_ipsec_mb.hpp"

#include <intel-ipsec-mb.h>

#include <algorithm>
#include <array>

#include "engine/tls/aead_parts.hpp"
#include "engine/tls/locked_memory.hpp"

namespace tlsmux::engine::tls {
namespace {

struct GcmFunctions {
  aes_gcm_pre_t expand_key = nullptr;
  aes_gcm_enc_dec_t encrypt = nullptr;
  aes_gcm_enc_dec_t decrypt = nullptr;
  aes_gcm_init_t begin = nullptr;
  aes_gcm_enc_dec_update_t encrypt_update = nullptr;
  aes_gcm_enc_dec_finalize_t encrypt_finish = nullptr;
};

struct ChachaFunctions {
  chacha_poly_init_t begin = nullptr;
  chacha_poly_enc_dec_update_t encrypt_update = nullptr;
  chacha_poly_enc_dec_update_t decrypt_update = nullptr;
  chacha_poly_finalize_t finish = nullptr;
};

// The functions that fit this processor. They keep nothing between calls but in the key and the context that they are
// given, so any thread may call them. (The library's last error, one word that each call sets to zero, is never read here.)
struct Functions {
  bool usable = false;
  GcmFunctions aes_128_gcm;
  GcmFunctions aes_256_gcm;
  ChachaFunctions chacha20_poly1305;
};

// The library chooses its functions while it sets up a manager of job queues. The queues are not used here, so the manager
// lives no longer than that. Without AES-NI the library would emulate it with tables, slowly: never that.
Functions load_functions() {
  constexpr std::uint64_t kNeeded = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SSE4_2 | IMB_FEATURE_CMOV;
  const std::unique_ptr<IMB_MGR, decltype(&free_mb_mgr)> manager(alloc_mb_mgr(0), free_mb_mgr);
  if (manager == nullptr || (manager->features & kNeeded) != kNeeded) {
    return {};
  }
  init_mb_mgr_auto(manager.get(), nullptr);
  constexpr std::uint64_t kTested = IMB_FEATURE_SELF_TEST | IMB_FEATURE_SELF_TEST_PASS;
  if (imb_get_errno(manager.get()) != 0 || (manager->features & kTested) == IMB_FEATURE_SELF_TEST) {
    return {};
  }
  return {.usable = true,
          .aes_128_gcm = {.expand_key = manager->gcm128_pre,
                          .encrypt = manager->gcm128_enc,
                          .decrypt = manager->gcm128_dec,
                          .begin = manager->gcm128_init,
                          .encrypt_update = manager->gcm128_enc_update,
                          .encrypt_finish = manager->gcm128_enc_finalize},
          .aes_256_gcm = {.expand_key = manager->gcm256_pre,
                          .encrypt = manager->gcm256_enc,
                          .decrypt = manager->gcm256_dec,
                          .begin = manager->gcm256_init,
                          .encrypt_update = manager->gcm256_enc_update,
                          .encrypt_finish = manager->gcm256_enc_finalize},
          .chacha20_poly1305 = {.begin = manager->chacha20_poly1305_init,
                                .encrypt_update = manager->chacha20_poly1305_enc_update,
                                .decrypt_update = manager->chacha20_poly1305_dec_update,
                                .finish = manager->chacha20_poly1305_finalize}};
}

const Functions& functions() {
  static const Functions loaded = load_functions();
  return loaded;
}

const std::uint8_t* octets(const std::byte* bytes) { return reinterpret_cast<const std::uint8_t*>(bytes); }
std::uint8_t* octets(std::byte* bytes) { return reinterpret_cast<std::uint8_t*>(bytes); }

struct GcmState {
  gcm_key_data key;
  gcm_context_data context;  // holds key stream between updates
};

class IpsecMbGcm {
 public:
  IpsecMbGcm(const GcmFunctions& functions, Locked<GcmState> state) : functions_(functions), state_(std::move(state)) {}

  void set_key(std::span<const std::byte> key) {
    wipe(std::as_writable_bytes(std::span(&state_->context, 1)));
    functions_.expand_key(key.data(), &state_->key);
  }

  void seal(const AeadNonce& nonce, std::span<const std::byte> additional, std::span<const std::byte> text,
            std::byte* destination, AeadTag tag) {
    functions_.encrypt(&state_->key, &state_->context, octets(destination), octets(text.data()), text.size(),
                       octets(nonce.data()), octets(additional.data()), additional.size(), octets(tag.data()),
                       tag.size());
  }

  void begin(const AeadNonce& nonce, std::span<const std::byte> additional) {
    functions_.begin(&state_->key, &state_->context, octets(nonce.data()), octets(additional.data()),
                     additional.size());
  }
  void update(std::span<const std::byte> source, std::byte* destination) {
    functions_.encrypt_update(&state_->key, &state_->context, octets(destination), octets(source.data()),
                              source.size());
  }
  void finish(AeadTag tag) {
    functions_.encrypt_finish(&state_->key, &state_->context, octets(tag.data()), tag.size());
  }

  void open(const AeadNonce& nonce, std::span<const std::byte> additional, std::span<const std::byte> text,
            std::byte* destination, AeadTag tag) {
    functions_.decrypt(&state_->key, &state_->context, octets(destination), octets(text.data()), text.size(),
                       octets(nonce.data()), octets(additional.data()), additional.size(), octets(tag.data()),
                       tag.size());
  }

 private:
  const GcmFunctions& functions_;
  Locked<GcmState> state_;
};

struct ChachaState {
  std::array<std::byte, 32> key;
  chacha20_poly1305_context_data context;
};

class IpsecMbChacha {
 public:
  IpsecMbChacha(const ChachaFunctions& functions, Locked<ChachaState> state)
      : functions_(functions), state_(std::move(state)) {}

  void set_key(std::span<const std::byte> key) {
    wipe(std::as_writable_bytes(std::span(&state_->context, 1)));
    std::ranges::copy(key, state_->key.begin());
  }

  void seal(const AeadNonce& nonce, std::span<const std::byte> additional, std::span<const std::byte> text,
            std::byte* destination, AeadTag tag) {
    begin(nonce, additional);
    if (!text.empty()) {
      update(text, destination);
    }
    finish(tag);
  }

  void begin(const AeadNonce& nonce, std::span<const std::byte> additional) {
    functions_.begin(state_->key.data(), &state_->context, nonce.data(), additional.data(), additional.size());
  }
  void update(std::span<const std::byte> source, std::byte* destination) {
    functions_.encrypt_update(state_->key.data(), &state_->context, destination, source.data(), source.size());
  }
  void finish(AeadTag tag) { functions_.finish(&state_->context, tag.data(), tag.size()); }

  void open(const AeadNonce& nonce, std::span<const std::byte> additional, std::span<const std::byte> text,
            std::byte* destination, AeadTag tag) {
    begin(nonce, additional);
    if (!text.empty()) {
      functions_.decrypt_update(state_->key.data(), &state_->context, destination, text.data(), text.size());
    }
    finish(tag);
  }

 private:
  const ChachaFunctions& functions_;
  Locked<ChachaState> state_;
};

template <typename Cipher, typename State, typename CipherFunctions>
std::unique_ptr<Aead> make(const CipherFunctions& cipher_functions, std::span<const std::byte> key,
                           std::size_t gather_bytes_min) {
  Locked<State> state;
  if (!state) {
    return nullptr;
  }
  auto aead = std::make_unique<PartsAead<Cipher>>(key.size(), gather_bytes_min, cipher_functions, std::move(state));
  aead->set_key(key);
  return aead;
}

}  // namespace

bool ipsec_mb_is_usable() { return functions().usable; }

std::unique_ptr<Aead> make_ipsec_mb_aead(AeadAlgorithm algorithm, std::span<const std::byte> key,
                                         std::size_t gather_bytes_min) {
  TMX_ASSERT(ipsec_mb_is_usable());
  switch (algorithm) {
    case AeadAlgorithm::aes_128_gcm: return make<IpsecMbGcm, GcmState>(functions().aes_128_gcm, key, gather_bytes_min);
    case AeadAlgorithm::aes_256_gcm: return make<IpsecMbGcm, GcmState>(functions().aes_256_gcm, key, gather_bytes_min);
    case AeadAlgorithm::chacha20_poly1305:
      return make<IpsecMbChacha, ChachaState>(functions().chacha20_poly1305, key, gather_bytes_min);
  }
  return nullptr;
}

}  // namespace tlsmux::engine::tls
