package dnscheck_test

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// serve runs a DNS server that knows names, each of which ends in a dot, and returns its address.
func serve(t *testing.T, zone map[string][]string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		query := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			if answer, err := answer(zone, query[:n]); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// answer answers one query; names outside the zone do not exist.
func answer(zone map[string][]string, query []byte) ([]byte, error) {
	var message dnsmessage.Message
	if err := message.Unpack(query); err != nil {
		return nil, err
	}
	question := message.Questions[0]
	message.Header.Response = true
	message.Additionals = nil
	addresses, known := zone[question.Name.String()]
	if !known {
		message.Header.RCode = dnsmessage.RCodeNameError
	}
	for _, text := range addresses {
		if body := resource(question.Type, netip.MustParseAddr(text)); body != nil {
			header := dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class}
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: body})
		}
	}
	return message.Pack()
}

// resource returns the address as a record of the wanted type, or nil if it is of the other family.
func resource(kind dnsmessage.Type, address netip.Addr) dnsmessage.ResourceBody {
	switch {
	case kind == dnsmessage.TypeA && address.Is4():
		return &dnsmessage.AResource{A: address.As4()}
	case kind == dnsmessage.TypeAAAA && address.Is6():
		return &dnsmessage.AAAAResource{AAAA: address.As16()}
	default:
		return nil
	}
}
