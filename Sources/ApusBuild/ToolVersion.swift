// SPDX-License-Identifier: Apache-2.0

/// The tool's own version, which is also part of every cache key that depends on how the tool works.
public enum ToolVersion {
    public static let current = "0.1.0"
}
