// Command image writes a container image as an OCI layout in a tar, from static binaries
// and without a container engine. The image has several platforms, each with one layer that
// contains the program. The same binaries produce the same bytes. ctr, skopeo and crane can
// read the result.
//
// On Windows the image is for HostProcess containers, which need no base image; see
// buildHostProcessLayer. On Linux, file capabilities are stored as an extended attribute
// (capabilities(7)) in the layer's PAX records.
package main
