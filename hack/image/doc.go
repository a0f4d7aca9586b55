// Command image writes a container image as an OCI layout in a tar, from static
// binaries and without a container engine: one image for several platforms, one
// layer each, with one file in it. The same binaries give the same bytes. ctr,
// skopeo and crane read the result.
//
// For Windows the image is for HostProcess containers, which need no base image: see
// hostProcessLayer. On Linux, file capabilities are kept as the extended attribute
// that they are (capabilities(7)), in the layer's PAX records.
package main
