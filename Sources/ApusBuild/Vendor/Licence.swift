// SPDX-License-Identifier: Apache-2.0
//
// Which licence a package has, by the text in its folder. Only what is recognised without doubt is named, by its SPDX
// identifier; a lawyer's work this is not.

internal import FoundationEssentials
public import SystemPackage

public enum Licence {
    /// The identifiers of the licences of a package, by its files LICENSE, COPYING and the like. Empty: none was
    /// recognised.
    public static func identify(in folder: FilePath) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
        let found = names.filter(isLicenceFile).sorted().compactMap { name in
            (try? Files.readText(folder.appending(name))).flatMap(identify)
        }
        return Set(found).sorted()
    }

    /// An expression for SPDX documents.
    public static func expression(_ identifiers: [String]) -> String {
        identifiers.isEmpty ? "NOASSERTION" : identifiers.joined(separator: " AND ")
    }

    static func isLicenceFile(_ name: String) -> Bool {
        let stem = name.lowercased().prefix { $0 != "." && $0 != "-" && $0 != "_" }
        return ["license", "licence", "copying", "unlicense"].contains(String(stem))
    }

    /// The identifier of one licence's text. Each is told by words that no other has.
    static func identify(_ text: String) -> String? {
        let words = text.lowercased().split { !$0.isLetter && !$0.isNumber }.joined(separator: " ")
        func has(_ phrases: String...) -> Bool { phrases.allSatisfy(words.contains) }

        if has("apache license version 2 0") {
            // Swift's own exception: programs need not say that they contain what the compiler put into them.
            return has("as an exception if you use this software to compile your source code")
                ? "Apache-2.0 WITH Swift-exception" : "Apache-2.0"
        }
        if has("mozilla public license version 2 0") { return "MPL-2.0" }
        if has("gnu affero general public license version 3") { return "AGPL-3.0-only" }
        if has("gnu lesser general public license version 3") { return "LGPL-3.0-only" }
        if has("gnu lesser general public license version 2 1") { return "LGPL-2.1-only" }
        if has("gnu general public license version 3") { return "GPL-3.0-only" }
        if has("gnu general public license version 2") { return "GPL-2.0-only" }
        if has("this is free and unencumbered software released into the public domain") { return "Unlicense" }
        if has("cc0 1 0 universal") { return "CC0-1.0" }
        if has("boost software license version 1 0") { return "BSL-1.0" }
        if has("permission is hereby granted free of charge", "the software is provided as is") { return "MIT" }
        if has("redistribution and use in source and binary forms") {
            return has("neither the name") ? "BSD-3-Clause" : "BSD-2-Clause"
        }
        if has("permission to use copy modify and or distribute this software for any purpose") { return "ISC" }
        if has("this software is provided as is without any express or implied warranty", "must not be misrepresented")
            || has("this software is provided as is without any express or implied warranty", "altered source versions")
        {
            return "Zlib"
        }
        return nil
    }
}
