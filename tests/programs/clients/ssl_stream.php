<?php
// Two requests on one stream of the ssl transport.
[, $host, $port, $authority] = $argv;
$context = stream_context_create(["ssl" => ["cafile" => $authority, "peer_name" => $host, "capture_peer_cert" => true]]);
$tls = stream_socket_client("ssl://$host:$port", $error, $text, 20, STREAM_CLIENT_CONNECT, $context);
$tls || exit("$text\n");
$options = stream_context_get_options($context)["ssl"];
print_r(openssl_x509_parse($options["peer_certificate"])["subject"]);
print_r(stream_get_meta_data($tls)["crypto"]);
foreach (["/first", "/second"] as $path) {
    fwrite($tls, "GET $path HTTP/1.1\r\nHost: $host\r\n\r\n");
    $length = 0;
    while (($line = fgets($tls)) !== "\r\n") {
        echo $line;
        sscanf($line, "Content-Length: %d", $length);
    }
    echo stream_get_contents($tls, $length);
}
fclose($tls);
