package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const usage = `usage: image -name REPOSITORY:TAG -o OUT.tar [-user UID:GID] [-capability cap_bpf,cap_perfmon=p] OS/ARCHITECTURE=BINARY…

Writes an image with one platform for each binary and prints its digest. The binary
becomes the entrypoint, /NAME on Linux and NAME.exe on Windows (for HostProcess
containers). NAME is the last part of REPOSITORY. -user and -capability apply to Linux.
`

// errUsage marks errors of the command line.
var errUsage = errors.New("usage")

func main() {
	err := run(os.Args[1:], os.Stdout)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "image:", err)
	if errors.Is(err, errUsage) {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	os.Exit(1)
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name := flags.String("name", "", "")
	out := flags.String("o", "", "")
	user := flags.String("user", "65532:65532", "")
	capability := flags.String("capability", "", "")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if *out == "" {
		return fmt.Errorf("%w: -o is missing", errUsage)
	}
	img, err := parseImage(*name, *user, *capability)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if img.binaries, err = readBinaries(flags.Args()); err != nil {
		return err
	}
	digest, err := saveImage(*out, img)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, img.name+"@"+digest)
	return err
}

// referencePattern matches a repository with a tag as in the OCI distribution
// specification. Group 2 is the last part of the repository, group 3 the tag.
var referencePattern = regexp.MustCompile(`^([a-z0-9.:_/-]+/)?([a-z0-9]+(?:[._-]+[a-z0-9]+)*):([a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})$`)

var userPattern = regexp.MustCompile(`^[0-9]{1,10}:[0-9]{1,10}$`)

func parseImage(name, user, capability string) (img image, err error) {
	parts := referencePattern.FindStringSubmatch(name)
	if parts == nil {
		return img, fmt.Errorf("-name %q: want a repository and a tag, such as example.org/agent:v1", name)
	}
	if !userPattern.MatchString(user) {
		return img, fmt.Errorf("-user %q: want numeric UID:GID because the image has no /etc/passwd", user)
	}
	img = image{name: name, file: parts[2], user: user}
	if capability != "" {
		img.capability, err = encodeFileCapability(capability)
	}
	return img, err
}

func readBinaries(args []string) (map[string][]byte, error) {
	binaries := map[string][]byte{}
	for _, arg := range args {
		name, path, ok := strings.Cut(arg, "=")
		if os, arch, two := strings.Cut(name, "/"); !ok || !two || os == "" || arch == "" {
			return nil, fmt.Errorf("%w: argument %q: want OS/ARCHITECTURE=BINARY, such as linux/amd64=bin/agent",
				errUsage, arg)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		binaries[name] = data
	}
	if len(binaries) == 0 || len(binaries) < len(args) {
		return nil, fmt.Errorf("%w: want one binary for each platform", errUsage)
	}
	return binaries, nil
}

// saveImage writes the image to a temporary file beside path and renames it, so that path
// never has a partial image.
func saveImage(path string, img image) (digest string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(f.Name()) }() // does not exist after success
	digest, err = writeImage(f, img)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return "", err
	}
	return digest, os.Rename(f.Name(), path)
}
