package main

import (
	"os"
	"path/filepath"

	"github.com/kubesa/serviceaccount/keys"
)

// keyFiles are the two files of a signing key in a temporary folder.
type keyFiles struct {
	folder          string
	private, public string // names of the files
}

// newKeyFiles generates an RSA key, as most clusters use, and writes both halves.
func newKeyFiles() (*keyFiles, error) {
	key, err := keys.Generate(keys.RS256)
	if err != nil {
		return nil, err
	}
	privatePEM, err := keys.EncodePrivateKey(key)
	if err != nil {
		return nil, err
	}
	publicPEM, err := keys.EncodePublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "serviceaccount-quickstart-")
	if err != nil {
		return nil, err
	}
	f := &keyFiles{folder: folder, private: filepath.Join(folder, "sa.key"), public: filepath.Join(folder, "sa.pub")}
	err = os.WriteFile(f.private, privatePEM, 0o600)
	if err == nil {
		err = os.WriteFile(f.public, publicPEM, 0o600)
	}
	if err != nil {
		f.remove()
		return nil, err
	}
	return f, nil
}

// remove deletes the files. Nothing can be done if that fails: they are in the
// folder for temporary files.
func (f *keyFiles) remove() { _ = os.RemoveAll(f.folder) }

// load returns a signer of the private file and the keys of the public file.
func (f *keyFiles) load() (*keys.LocalSigner, *keys.Set, error) {
	key, err := keys.ReadPrivateKeyFile(f.private)
	if err != nil {
		return nil, nil, err
	}
	signer, err := keys.NewSigner(key)
	if err != nil {
		return nil, nil, err
	}
	set, err := f.loadPublic()
	return signer, set, err
}

func (f *keyFiles) loadPublic() (*keys.Set, error) {
	publics, err := keys.ReadPublicKeyFiles(f.public)
	if err != nil {
		return nil, err
	}
	return keys.NewSet(publics...)
}
