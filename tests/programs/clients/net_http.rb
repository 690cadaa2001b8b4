# Two requests on one connection of net/http.
require "net/http"

host, port, authority = ARGV
Net::HTTP.start(host, port.to_i, use_ssl: true, ca_file: authority) do |http|
  puts http.peer_cert.subject
  ["/first", "/second"].each do |path|
    answer = http.get(path)
    puts answer.code, answer.to_hash, answer.body
  end
end
