package keys

import (
	"bytes"
	"cmp"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
)

// maxDescribedBlocks is how many PEM blocks an error describes.
const maxDescribedBlocks = 3

// pemProblem says what data is instead of PEM text with a key, a private one if private is
// set, and what to do. It has nothing of the text.
func pemProblem(data []byte, private bool) string {
	switch text := bytes.TrimSpace(data); {
	case len(text) == 0:
		return "it is empty"
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return "it is UTF-16 text: save it as UTF-8"
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return "it begins with a byte order mark: save it without one"
	}
	problem := blockProblems(data, private)
	begins, ends := bytes.Count(data, []byte("-----BEGIN ")), bytes.Count(data, []byte("-----END "))
	switch {
	case begins+ends == 0:
		return noPEMProblem(data)
	case problem == "":
		return brokenPEMProblem(data, begins, ends)
	case begins != ends:
		return problem + "; and one is cut short"
	}
	return problem
}

// blockProblems describes the PEM blocks, none of which is a key of the kind that is
// wanted.
func blockProblems(data []byte, private bool) string {
	var found []string
	n := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if n++; n <= maxDescribedBlocks {
			found = append(found, fmt.Sprintf("block %d is %s", n, blockProblem(block, private)))
		}
	}
	if n > maxDescribedBlocks {
		found = append(found, fmt.Sprintf("and there are %d more", n-maxDescribedBlocks))
	}
	return strings.Join(found, "; ")
}

func blockProblem(block *pem.Block, private bool) string {
	const unusable = " that is neither RSA nor ECDSA, or is damaged"
	encrypted := strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
	switch block.Type {
	case blockPublicKey, blockPKCS1Public:
		if private {
			return "a public key, want a private one"
		}
	case "OPENSSH PRIVATE KEY":
		return "an OpenSSH private key: convert it with ssh-keygen -p -m PEM -f FILE"
	case "ENCRYPTED PRIVATE KEY":
		encrypted = true
	case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE":
		if private {
			return "a certificate, which has no private key"
		}
		return "a certificate of " + cmp.Or(keyKind(block.Bytes), "a key"+unusable)
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return "a certificate request, want the key itself"
	case "EC PARAMETERS", "DH PARAMETERS", "DSA PARAMETERS":
		return "parameters, without a key"
	case "DSA PRIVATE KEY", "DSA PUBLIC KEY":
		return "a DSA key" + wantKey
	case "PGP PRIVATE KEY BLOCK", "PGP PUBLIC KEY BLOCK":
		return "an OpenPGP key, want an RSA or ECDSA key in PEM"
	case "PKCS7", "CMS":
		return "a PKCS#7 bundle, want the keys or certificates themselves"
	}
	switch {
	case encrypted:
		return "an encrypted private key: decrypt it, for example with openssl pkey -in FILE"
	case len(block.Bytes) > maxPrivateDER && private:
		return "longer than 8 KiB, which no private key is"
	}
	usable := parsePublic(block.Bytes) != nil
	if kind := keyKind(block.Bytes); !usable && kind != "" {
		return kind
	}
	switch block.Type {
	case blockPublicKey, blockPKCS1Public:
		return "a public key" + unusable
	case blockPKCS8, blockPKCS1, blockSEC1:
		if usable {
			return "a key in another form than its BEGIN line says"
		}
		return "a private key" + unusable
	}
	return "of an unknown type"
}

// brokenPEMProblem is about text with BEGIN or END lines, but no block.
func brokenPEMProblem(data []byte, begins, ends int) string {
	switch {
	case bytes.Contains(data, []byte(`\n`)):
		return `its line breaks are written as \n: replace them by line breaks`
	case begins > ends:
		return "it is cut short: an END line is missing"
	case begins < ends:
		return "it is cut short: a BEGIN line is missing"
	}
	for line := range bytes.Lines(data) {
		at := max(0, bytes.Index(line, []byte("-----BEGIN ")), bytes.Index(line, []byte("-----END ")))
		switch before := line[:at]; {
		case bytes.Contains(line, []byte("-----BEGIN ")) && bytes.Contains(line, []byte("-----END ")):
			return "it is one line: its line breaks are missing"
		case len(before) > 0 && len(bytes.TrimSpace(before)) == 0:
			return "it is indented: remove the space before its BEGIN and END lines"
		case len(before) > 0:
			return "there is something before BEGIN or END in their lines: remove it, such as quotes"
		}
	}
	return "its PEM block is damaged"
}

// noPEMProblem is about what has neither BEGIN nor END.
func noPEMProblem(data []byte) string {
	text := bytes.TrimSpace(data)
	begins := func(prefixes ...string) bool {
		for _, prefix := range prefixes {
			if bytes.HasPrefix(text, []byte(prefix)) {
				return true
			}
		}
		return false
	}
	switch {
	case begins("ssh-", "ecdsa-sha2-", "sk-", "---- BEGIN SSH2"):
		return "it is an OpenSSH public key: convert it with ssh-keygen -e -m PKCS8 -f FILE"
	case begins("PuTTY-User-Key-File"):
		return "it is a PuTTY key: export it as OpenSSH key and convert that with ssh-keygen -p -m PEM -f FILE"
	case begins("{") && bytes.Contains(text, []byte(`"kty"`)):
		return "it is a JWK or a JWK Set, want PEM: for public ones there is ParseJWKS"
	case begins("{", "["):
		return "it is JSON, want PEM"
	case isDER(data):
		return "it is DER or PKCS#12, want PEM: convert it, for example with openssl pkey -inform DER -in FILE"
	}
	decoded, _ := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	switch {
	case bytes.Contains(decoded, []byte("-----BEGIN ")):
		return "it is base64 of PEM, as in the data of a Secret: decode it"
	case isDER(decoded):
		return "it is base64 without BEGIN and END lines: add them"
	case bytes.Contains(text, []byte("apiVersion:")):
		return "it is a Kubernetes manifest or kubeconfig, want PEM"
	}
	return "it has no PEM block"
}

// isDER reports whether data is one sequence in DER, as keys, certificates and PKCS#12
// files are.
func isDER(data []byte) bool {
	var sequence []asn1.RawValue
	rest, err := asn1.Unmarshal(data, &sequence)
	return err == nil && len(rest) == 0
}
