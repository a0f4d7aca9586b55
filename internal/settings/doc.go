// Package settings is the catalogue of the settings that Portreeve can enforce on a
// node: their keys, namespacing, allowed values and effects, the fields of a NodeTuning
// that set them, and the precedence among NodeTunings. The CEL rules of linux.sysctls and
// docs/reference/settings.md are generated from it, and the agent checks every setting
// against it before it writes.
//
// It is pure: it touches neither the machine nor the API server.
package settings
