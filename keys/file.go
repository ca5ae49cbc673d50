package keys

import (
	"crypto"

	"github.com/kubesa/serviceaccount/keys/internal/files"
	"github.com/kubesa/serviceaccount/keys/internal/wrap"
)

// ReadPrivateKeyFile reads a private key as [ParsePrivateKey] does.
func ReadPrivateKeyFile(name string) (crypto.Signer, error) {
	data, _, err := files.Disk{}.ReadFile(name)
	if err != nil {
		return nil, wrap.Errorf(err, "keys: error reading private key file %s", name)
	}
	key, err := ParsePrivateKey(data)
	if err != nil {
		return nil, wrap.Errorf(err, "keys: error reading private key file %s", name)
	}
	return key, nil
}

// ReadPublicKeyFiles reads the public keys of all files as [ParsePublicKeys]
// does, in the order of the files. One bad file fails the whole; [FileSource]
// goes on with the keys that it had.
func ReadPublicKeyFiles(names ...string) ([]crypto.PublicKey, error) {
	var list []crypto.PublicKey
	for _, name := range names {
		data, _, err := files.Disk{}.ReadFile(name)
		if err != nil {
			return nil, wrap.Errorf(err, "keys: error reading public key file %s", name)
		}
		keys, err := ParsePublicKeys(data)
		if err != nil {
			return nil, wrap.Errorf(err, "keys: error reading public key file %s", name)
		}
		list = append(list, keys...)
	}
	return list, nil
}
