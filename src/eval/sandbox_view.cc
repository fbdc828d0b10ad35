// SPDX-License-Identifier: Apache-2.0
#include "eval/sandbox_view.h"

#include <algorithm>
#include <initializer_list>
#include <system_error>
#include <utility>

namespace aio::eval {
namespace {

namespace fs = std::filesystem;

// A file or folder as it is, or a link of the system's (/lib to usr/lib).
struct Part {
  ViewEntry::Kind kind;
  std::string source, target;
};

bool Within(const fs::path& path, const fs::path& folder) {
  const auto [end, at] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

void Add(const fs::path& path, std::vector<Part>* parts) {
  std::error_code none;
  const bool there =
      std::any_of(parts->begin(), parts->end(), [&](const Part& part) {
        return part.kind == ViewEntry::Kind::kBindFolder &&
               Within(path, part.target);
      });
  const fs::path real = fs::canonical(path, none);
  if (there || none || real == "/") return;
  // Other links may lead to what is not shown: their target stands for them.
  if (fs::is_symlink(path, none) && path.parent_path() == "/") {
    parts->push_back(
        {ViewEntry::Kind::kLink, fs::read_symlink(path, none), path});
    return;
  }
  const bool folder = fs::is_directory(real, none);
  parts->push_back(
      {folder ? ViewEntry::Kind::kBindFolder : ViewEntry::Kind::kBindFile, real,
       path});
}

std::vector<Part> Parts(const std::vector<std::string>& folders) {
  std::vector<Part> parts;
  for (const char* path :
       {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
        "/nix/store", "/gnu/store", "/etc/alternatives", "/etc/ld.so.cache"}) {
    Add(path, &parts);
  }
  for (const std::string& folder : folders) Add(folder, &parts);
  return parts;
}

}  // namespace

NamespaceView::NamespaceView(const std::vector<std::string>& folders) {
  for (Part& part : Parts(folders)) {
    AddParents(part.target);
    const bool link = part.kind == ViewEntry::Kind::kLink;
    shown_.push_back(
        {part.kind, link ? part.source : kOldRoot + part.source, part.target});
  }
  shown_.push_back({ViewEntry::Kind::kFolder, "", "/dev"});
  for (const char* device : {"null", "zero", "full", "random", "urandom"}) {
    const std::string path = std::string("/dev/") + device;
    shown_.push_back(
        {ViewEntry::Kind::kBindFile, kOldRoot + path, path, false});
  }
  for (const Shown& shown : shown_) {
    entries_.push_back({shown.kind, shown.source.c_str(), shown.target.c_str(),
                        shown.read_only});
  }
}

void NamespaceView::AddParents(const fs::path& path) {
  fs::path parent;
  for (const fs::path& part : path.parent_path()) {
    parent /= part;
    if (parent == "/") continue;
    shown_.push_back({ViewEntry::Kind::kFolder, "", parent});
  }
}

std::vector<std::string> BubblewrapArguments(const Command& command,
                                             const Limits& limits) {
  std::vector<std::string> arguments = {FindProgram("bwrap"), "--unshare-all",
                                        "--die-with-parent",  "--new-session",
                                        "--cap-drop",         "ALL"};
  const auto add = [&](std::initializer_list<std::string> words) {
    arguments.insert(arguments.end(), words);
  };
  // Before the folders, of which some may lie in it.
  add({"--size", std::to_string(limits.file_bytes_max), "--tmpfs", "/tmp"});
  for (const Part& part : Parts(command.folders)) {
    const bool link = part.kind == ViewEntry::Kind::kLink;
    add({link ? "--symlink" : "--ro-bind", part.source, part.target});
  }
  add({"--dev", "/dev", "--remount-ro", "/dev", "--remount-ro", "/"});
  add({"--chdir", "/tmp", "--"});
  arguments.insert(arguments.end(), command.argv.begin(), command.argv.end());
  return arguments;
}

}  // namespace aio::eval
