# SPDX-License-Identifier: Apache-2.0
#
# Cross-building for arm64 with the libraries of tools/arm64-root; programs run under qemu-aarch64.
# ARM64_ROOT in the environment names the folder.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(root $ENV{ARM64_ROOT})
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_SYSROOT ${root})
set(CMAKE_FIND_ROOT_PATH ${root})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${root}/usr/lib/aarch64-linux-gnu/pkgconfig:${root}/usr/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${root})
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;${root})
add_compile_options(-I${root}/usr/include -I${root}/usr/include/aarch64-linux-gnu)
add_link_options(-L${root}/usr/lib/aarch64-linux-gnu -L${root}/lib/aarch64-linux-gnu
                 -Wl,-rpath-link,${root}/usr/lib/aarch64-linux-gnu
                 -Wl,-rpath-link,${root}/lib/aarch64-linux-gnu)
