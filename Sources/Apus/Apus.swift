// SPDX-License-Identifier: Apache-2.0
//
// The one import for most programs: goroutines and the network on them.

@_exported public import ApusNet
@_exported public import ApusRuntime
