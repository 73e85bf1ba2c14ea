package check

import (
	"bytes"
	"strings"
)

// The parts of a run UUID that are hidden where the whole is not there, because somebody has cut the text. What remains of
// the UUID then is too little to guess the rest.
const (
	uuidHead = len("01234567-89ab")
	uuidTail = len("0123456789ab")
)

// HideRun replaces a run UUID in a text by asterisks of the same length. It also finds the UUID in the other case, without
// its dashes, and where the text was cut within it. An empty UUID changes nothing.
func HideRun(text []byte, uuid string) []byte {
	if len(text) < min(len(uuid), uuidTail) { // a report may have very many short texts
		return text
	}
	uuid = strings.ToLower(uuid)
	secrets := []string{uuid, strings.ReplaceAll(uuid, "-", "")}
	if len(uuid) > uuidHead+uuidTail {
		head, tail := uuid[:uuidHead], uuid[len(uuid)-uuidTail:]
		secrets = append(secrets, head, strings.ReplaceAll(head, "-", ""), tail)
	}
	plain := lowerASCII(text)
	for _, secret := range secrets {
		text, plain = hide(text, plain, secret)
	}
	return text
}

// HideRunIn is HideRun for a string.
func HideRunIn(text, uuid string) string {
	if len(text) < min(len(uuid), uuidTail) {
		return text
	}
	return string(HideRun([]byte(text), uuid))
}

// lowerASCII returns a text of the same length, with its ASCII letters in lower case.
func lowerASCII(text []byte) []byte {
	lower := bytes.Clone(text)
	for i, b := range lower {
		if 'A' <= b && b <= 'Z' {
			lower[i] = b + 'a' - 'A'
		}
	}
	return lower
}

// hide replaces a secret in a text, and in the same text in lower case.
func hide(text, plain []byte, secret string) (hidden, hiddenPlain []byte) {
	if secret == "" || !bytes.Contains(plain, []byte(secret)) {
		return text, plain
	}
	stars := bytes.Repeat([]byte("*"), len(secret))
	text, plain = bytes.Clone(text), bytes.Clone(plain)
	for at := 0; ; at += len(secret) {
		found := bytes.Index(plain[at:], []byte(secret))
		if found < 0 {
			return text, plain
		}
		at += found
		copy(text[at:], stars)
		copy(plain[at:], stars)
	}
}
