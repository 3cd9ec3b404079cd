// SPDX-License-Identifier: Apache-2.0
//
// A mount namespace in which folders of the user's appear at paths that are the same everywhere.

#ifndef APUS_WORKSPACE_H
#define APUS_WORKSPACE_H

/// The folder that is only there in workspaces. Part of what is compiled: changing it makes all caches useless.
#define APUS_WORKSPACE_FOLDER "/apus-build"

/// Whether this process's children may enter a workspace: 0, or the errno of what is not allowed. Takes about a
/// millisecond, and leaves nothing behind.
int apus_workspace_probe(void);

/// Runs a command in a workspace and ends as it does. Arguments, after the first `skipped`:
///
///     [--bind SOURCE PLACE]... --directory FOLDER -- PROGRAM ARGUMENT...
///
/// SOURCE appears at PLACE, which lies in APUS_WORKSPACE_FOLDER; without any, there is no workspace. The command starts in
/// FOLDER. It is asked to end when the process that called us is gone, and killed with all its children when it does not.
/// Returns the exit status.
int apus_workspace_run(int skipped, int count, char *const *arguments);

#endif
