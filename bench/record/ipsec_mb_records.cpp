#include <intel-ipsec-mb.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "bench/record/record_path.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kAdditionalBytes = 5;  // a record's header

struct FreeManager {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};

class IpsecMbRecords : public RecordPath {
 public:
  IpsecMbRecords() : manager_(alloc_mb_mgr(0)) {
    if (!manager_) throw std::runtime_error("no memory for IPsec-MB");
    init_mb_mgr_auto(manager_.get(), nullptr);
    const std::array<std::uint8_t, 16> key{0x42};
    IMB_AES128_GCM_PRE(manager_.get(), key.data(), &key_);
  }

  // As if all parts lay behind the first, with a byte for the type.
  bool seal(Parts parts) override {
    std::size_t bytes = 1;
    for (const auto& part : parts) bytes += part.size();
    if (sealed_.size() - end_ < bytes + kTagBytes) return false;
    auto* output = sealed_.data() + end_;
    IMB_AES128_GCM_ENC(manager_.get(), &key_, &context_, output, plain_.data(), bytes, nonce_.data(),
                       additional_.data(), additional_.size(), output + bytes, kTagBytes);
    end_ += bytes + kTagBytes;
    return true;
  }

  bool open(std::size_t bytes) override {
    ++bytes;
    auto* input = sealed_.data() + begin_;
    std::array<std::uint8_t, kTagBytes> tag;
    IMB_AES128_GCM_DEC(manager_.get(), &key_, &context_, input, input, bytes, nonce_.data(), additional_.data(),
                       additional_.size(), tag.data(), kTagBytes);
    const bool matches = std::memcmp(tag.data(), input + bytes, kTagBytes) == 0;
    begin_ += bytes + kTagBytes;
    if (begin_ == end_) begin_ = end_ = 0;
    return matches;
  }

 private:
  std::unique_ptr<IMB_MGR, FreeManager> manager_;
  gcm_key_data key_{};
  gcm_context_data context_{};
  std::array<std::uint8_t, 12> nonce_{};
  std::array<std::uint8_t, kAdditionalBytes> additional_{};
  std::vector<std::uint8_t> plain_ = std::vector<std::uint8_t>(32UL * 1024);
  std::vector<std::uint8_t> sealed_ = std::vector<std::uint8_t>(kSealedBytesMax);
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace

std::unique_ptr<RecordPath> make_ipsec_mb_records() { return std::make_unique<IpsecMbRecords>(); }

}  // namespace tlsmux::bench
