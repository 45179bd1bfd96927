"""Styles: texts like `wave:0.5` parsed, and resolved once into pictures, codes and trained styles."""
