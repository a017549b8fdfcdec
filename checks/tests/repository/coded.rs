//! Finds the libraries' public error types without a `code` method or field.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Fields, ImplItem, Item, Token, Visibility, punctuated::Punctuated};

use crate::codes::{krate, sources, type_name};

/// A crate and the name of a type in it.
type TypeKey = (String, String);

/// Returns every public library error type without a code.
pub(crate) fn errors_without_code() -> Vec<String> {
    let mut public: BTreeMap<TypeKey, String> = BTreeMap::new();
    let (mut errors, mut coded) = (BTreeSet::<TypeKey>::new(), BTreeSet::<TypeKey>::new());
    for (file, path) in sources() {
        let name = |name: String| (krate(&path), name);
        for item in &file.items {
            let (visibility, ident, attributes) = match item {
                Item::Struct(item) => {
                    if has_public_code(&item.fields) {
                        coded.insert(name(item.ident.to_string()));
                    }
                    (&item.vis, &item.ident, &item.attrs)
                }
                Item::Enum(item) => (&item.vis, &item.ident, &item.attrs),
                Item::Impl(item) => {
                    let of = name(type_name(&item.self_ty));
                    match &item.trait_ {
                        Some((_, of_trait, _))
                            if of_trait.segments.last().is_some_and(|last| last.ident == "Error") =>
                        {
                            errors.insert(of);
                        }
                        None if item.items.iter().any(is_code) => {
                            coded.insert(of);
                        }
                        _ => {}
                    }
                    continue;
                }
                _ => continue,
            };
            if matches!(visibility, Visibility::Public(_)) {
                public.insert(name(ident.to_string()), path.clone());
            }
            if attributes.iter().any(derives_error) {
                errors.insert(name(ident.to_string()));
            }
        }
    }
    assert!(errors.len() > 10, "only {} errors were found", errors.len());
    let without = errors.difference(&coded).filter_map(|name| Some(format!("{}: {}", public.get(name)?, name.1)));
    without.collect()
}

fn has_public_code(fields: &Fields) -> bool {
    let mut named = fields.iter().filter(|field| matches!(field.vis, Visibility::Public(_)));
    named.any(|field| field.ident.as_ref().is_some_and(|name| name == "code"))
}

fn is_code(item: &ImplItem) -> bool {
    matches!(item, ImplItem::Fn(function) if function.sig.ident == "code" && matches!(function.vis, Visibility::Public(_)))
}

fn derives_error(attribute: &Attribute) -> bool {
    attribute.path().is_ident("derive")
        && attribute.parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated).is_ok_and(|derived| {
            derived.iter().any(|path| path.segments.last().is_some_and(|last| last.ident == "Error"))
        })
}
