<?php
// file_get_contents says "Connection: close".
[, $host, $port, $authority] = $argv;
$context = stream_context_create(["ssl" => ["cafile" => $authority]]);
echo file_get_contents("https://$host:$port/first", false, $context);
print_r($http_response_header);
