// SPDX-License-Identifier: Apache-2.0
//
// One import for HTTP: methods, statuses and fields are those of swift-http-types.

@_exported public import HTTPTypes
