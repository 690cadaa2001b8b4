// Published test vectors: the GCM specification of McGrew and Viega (test cases 1 to 4 and 13 to 16), NIST's CAVP
// gcmEncryptExtIV, RFC 8439 section 2.8.2 and appendix A.5. In hexadecimal.
#pragma once

#include <string_view>

#include "engine/tls/aead.hpp"

namespace tlsmux::test {

struct AeadVector {
  std::string_view source;
  engine::tls::AeadAlgorithm algorithm;
  std::string_view key;
  std::string_view nonce;
  std::string_view additional;
  std::string_view plaintext;
  std::string_view ciphertext;
  std::string_view tag;
};

inline constexpr std::string_view kGcmText =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
inline constexpr std::string_view kGcm128Cipher =
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985";
inline constexpr std::string_view kGcm256Cipher =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
inline constexpr std::string_view kGcmKey = "feffe9928665731c6d6a8f9467308308";
inline constexpr std::string_view kGcmNonce = "cafebabefacedbaddecaf888";
inline constexpr std::string_view kGcmAdditional = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
inline constexpr std::string_view kGcmKey256 = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
inline constexpr std::string_view kZeros16 = "00000000000000000000000000000000";
inline constexpr std::string_view kZeros32 = "0000000000000000000000000000000000000000000000000000000000000000";

inline constexpr AeadVector kAeadVectors[] = {
    {"GCM 1", engine::tls::AeadAlgorithm::aes_128_gcm, kZeros16, kZeros16.substr(0, 24), "", "", "",
     "58e2fccefa7e3061367f1d57a4e7455a"},
    {"GCM 2", engine::tls::AeadAlgorithm::aes_128_gcm, kZeros16, kZeros16.substr(0, 24), "", kZeros16,
     "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"},
    {"GCM 3", engine::tls::AeadAlgorithm::aes_128_gcm, kGcmKey, kGcmNonce, "", kGcmText, kGcm128Cipher,
     "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {"GCM 4", engine::tls::AeadAlgorithm::aes_128_gcm, kGcmKey, kGcmNonce, kGcmAdditional, kGcmText.substr(0, 120),
     kGcm128Cipher.substr(0, 120), "5bc94fbc3221a5db94fae95ae7121a47"},
    {"GCM 13", engine::tls::AeadAlgorithm::aes_256_gcm, kZeros32, kZeros16.substr(0, 24), "", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {"GCM 14", engine::tls::AeadAlgorithm::aes_256_gcm, kZeros32, kZeros16.substr(0, 24), "", kZeros16,
     "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {"GCM 15", engine::tls::AeadAlgorithm::aes_256_gcm, kGcmKey256, kGcmNonce, "", kGcmText, kGcm256Cipher,
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"GCM 16", engine::tls::AeadAlgorithm::aes_256_gcm, kGcmKey256, kGcmNonce, kGcmAdditional, kGcmText.substr(0, 120),
     kGcm256Cipher.substr(0, 120), "76fc6ece0f4e1768cddf8853bb2d551b"},
    {"CAVP 128, nothing", engine::tls::AeadAlgorithm::aes_128_gcm, "11754cd72aec309bf52f7687212e8957",
     "3c819d9a9bed087615030b65", "", "", "", "250327c674aaf477aef2675748cf6971"},
    {"CAVP 128, additional data only", engine::tls::AeadAlgorithm::aes_128_gcm, "77be63708971c4e240d1cb79e8d77feb",
     "e0e00f19fed7ba0136a797f3", "7a43ec1d9c0a5a78a0b16533a6213cab", "", "", "209fcc8d3675ed938e9c7166709dd946"},
    {"CAVP 256, nothing", engine::tls::AeadAlgorithm::aes_256_gcm,
     "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4", "516c33929df5a3284ff463d7", "", "", "",
     "bdc1ac884d332457a1d2664f168c76f0"},
    {"RFC 8439 2.8.2", engine::tls::AeadAlgorithm::chacha20_poly1305,
     "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647",
     "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
     "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
     "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
     "637265656e20776f756c642062652069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
     "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
     "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
     "3ff4def08e4b7a9de576d26586cec64b6116",
     "1ae10b594f09e26a7e902ecbd0600691"},
    {"RFC 8439 A.5", engine::tls::AeadAlgorithm::chacha20_poly1305,
     "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0", "000000000102030405060708",
     "f33388860000000000004e91",
     "496e7465726e65742d4472616674732061726520647261667420646f63756d65"
     "6e74732076616c696420666f722061206d6178696d756d206f6620736978206d"
     "6f6e74687320616e64206d617920626520757064617465642c207265706c6163"
     "65642c206f72206f62736f6c65746564206279206f7468657220646f63756d65"
     "6e747320617420616e792074696d652e20497420697320696e617070726f7072"
     "6961746520746f2075736520496e7465726e65742d4472616674732061732072"
     "65666572656e6365206d6174657269616c206f7220746f206369746520746865"
     "6d206f74686572207468616e206173202fe2809c776f726b20696e2070726f67"
     "726573732e2fe2809d",
     "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
     "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
     "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
     "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
     "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
     "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
     "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
     "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
     "a6ad5cb4022b02709b",
     "eead9d67890cbb22392336fea1851f38"},
};

}  // namespace tlsmux::test
