# Two requests on one connection of IO::Socket::SSL.
use strict;
use warnings;
use IO::Socket::SSL;

my ($host, $port, $authority) = @ARGV;
my $tls = IO::Socket::SSL->new(
    PeerHost => $host, PeerPort => $port, SSL_ca_file => $authority, SSL_verifycn_scheme => "http",
) or die "$!, $SSL_ERROR";
print join(" ", $tls->get_sslversion, $tls->get_cipher, $tls->peer_certificate("commonName"), $tls->peerport == $port), "\n";
for my $path ("/first", "/second") {
    print $tls "GET $path HTTP/1.1\r\nHost: $host\r\n\r\n";
    my $length = 0;
    while (defined(my $line = <$tls>)) {
        print $line;
        $length = $1 if $line =~ /^Content-Length: (\d+)/;
        last if $line eq "\r\n";
    }
    read($tls, my $page, $length) == $length or die "a short page";
    print $page;
}
close $tls;
