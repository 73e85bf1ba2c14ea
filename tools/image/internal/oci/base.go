package oci

import (
	"bytes"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// User is who the programs of all images run as. It is a number, so that Kubernetes can see that it is not root.
const User = "65532:65532"

// zones is where a program in Go finds the time zones of the image.
const zones = "/usr/share/zoneinfo.zip"

const (
	passwd = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
	group  = "root:x:0:\nnonroot:x:65532:\n"
)

// Base returns the files that all images have in one shared layer: users, certificates, time zones and a folder /tmp.
// There is no shell, and nothing else that could be run.
func Base(zoneinfo []byte) ([]File, error) {
	roots, err := certificates()
	if err != nil {
		return nil, err
	}
	return []File{
		{Path: "/etc/group", Mode: 0o644, Data: []byte(group)},
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte(passwd)},
		{Path: "/etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Data: roots},
		{Path: "/tmp/", Mode: 0o1777},
		{Path: zones, Mode: 0o644, Data: zoneinfo},
	}, nil
}

// certificates are the roots that Mozilla trusts, in the version that go.sum fixes. A root that may sign only some
// certificates is left out: the format of the file cannot say that.
func certificates() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, fmt.Errorf("encode certificate: %w", err)
		}
	}
	return out.Bytes(), nil
}
