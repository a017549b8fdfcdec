//! Finds every error code in the source.
//!
//! Codes are the values of parameters, fields and variables named `code` with a string type. The
//! first pass over the source collects the functions with such parameters, and the second pass
//! collects the values passed to them. A value that is neither a literal nor from a known source is
//! an error; otherwise, codes could be missed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use syn::{
    Attribute, Expr, FnArg, ImplItemFn, ItemFn, ItemImpl, ItemMod, Local, Pat, ReturnType, Signature, Stmt, Type,
    visit::{self, Visit},
};

use crate::support::{files, text};

/// Files in which `code` means something else, so its values need not be literals.
const OTHER_MEANINGS: [(&str, &str); 4] = [
    ("llmspell-workflows-basic/src/expr/token.rs", "the number of a character"),
    ("llmspell-workflows-cli/src/output.rs", "a color of the terminal"),
    ("llmspell-workflows-definition/src/diagnose/render.rs", "a color of the terminal"),
    ("llmspell-workflows-tools/src/data/jq/program.rs", "the text of a program"),
];

/// The codes found, and the values that could not be resolved.
#[derive(Default)]
pub(crate) struct Codes {
    /// The files that use each code.
    pub(crate) places: BTreeMap<String, BTreeSet<String>>,
    /// The codes returned by methods named `code`, with the files of these methods.
    pub(crate) returned: BTreeMap<String, BTreeSet<String>>,
    /// Values that could not be resolved to a code.
    pub(crate) unreadable: Vec<String>,
}

/// Parses the source of all crates except tests and test support; returns each file with its path.
pub(crate) fn sources() -> Vec<(syn::File, String)> {
    let paths = files("crates", ".rs").into_iter().filter(|path| {
        path.contains("/src/") && !path.ends_with("/tests.rs") && !path.contains("/llmspell-workflows-testing/")
    });
    paths.map(|path| (syn::parse_file(&text(&path)).unwrap(), path)).collect()
}

/// Collects the codes in the source of all crates.
pub(crate) fn codes() -> Codes {
    let sources = sources();
    let mut parameters = CodeParameters::default();
    for (file, path) in &sources {
        (parameters.krate, parameters.path) = (krate(path), path.clone());
        parameters.visit_file(file);
    }
    let mut codes = Codes::default();
    for (file, path) in &sources {
        let (krate, owner) = (krate(path), String::new());
        CodeValues { parameters: &parameters, path, krate, owner, is_returned: false, codes: &mut codes }
            .visit_file(file);
    }
    codes
}

pub(crate) fn krate(path: &str) -> String {
    path.split('/').nth(1).unwrap().to_owned()
}

/// First pass: finds the code argument of each function, by crate, type (empty for free functions)
/// and name.
#[derive(Default)]
struct CodeParameters {
    krate: String,
    path: String,
    owner: String,
    arguments: HashMap<(String, String, String), usize>,
    methods: HashMap<(String, String), usize>,
    /// Functions without a code parameter; if another function with the same name has one, only values that look
    /// like codes count.
    ambiguous: HashSet<(String, String, String)>,
    closures: HashMap<(String, String), usize>,
    /// The values of string constants.
    constants: HashMap<(String, String), String>,
}

impl CodeParameters {
    fn signature(&mut self, signature: &Signature) {
        let name = signature.ident.to_string();
        let has_self = signature.receiver().is_some();
        let position = signature
            .inputs
            .iter()
            .position(|input| matches!(input, FnArg::Typed(typed) if is_code(&typed.pat) && is_text(&typed.ty)));
        let Some(position) = position else {
            self.ambiguous.insert((self.krate.clone(), self.owner.clone(), name.clone()));
            if has_self {
                self.ambiguous.insert((self.krate.clone(), METHOD.to_owned(), name));
            }
            return;
        };
        self.arguments.insert((self.krate.clone(), self.owner.clone(), name.clone()), position);
        if has_self {
            self.methods.insert((self.krate.clone(), name), position - 1);
        }
    }
}

impl Visit<'_> for CodeParameters {
    fn visit_item_impl(&mut self, item: &ItemImpl) {
        self.owner = type_name(&item.self_ty);
        visit::visit_item_impl(self, item);
        self.owner.clear();
    }

    fn visit_item_fn(&mut self, item: &ItemFn) {
        self.signature(&item.sig);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &ImplItemFn) {
        self.signature(&item.sig);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_const(&mut self, item: &syn::ItemConst) {
        if let Some(text) = literal(&item.expr) {
            self.constants.insert((self.krate.clone(), item.ident.to_string()), text);
        }
    }

    fn visit_local(&mut self, local: &Local) {
        if let (Pat::Ident(name), Some(init)) = (&local.pat, &local.init)
            && let Expr::Closure(closure) = &*init.expr
            && let Some(position) = closure.inputs.iter().position(is_code)
        {
            self.closures.insert((self.path.clone(), name.ident.to_string()), position);
        }
        visit::visit_local(self, local);
    }
}

/// A placeholder for the type of a method, because the receiver's type is not known at the call.
const METHOD: &str = ".";

/// Second pass: collects the values passed as codes.
struct CodeValues<'a> {
    parameters: &'a CodeParameters,
    path: &'a str,
    krate: String,
    owner: String,
    /// Whether the values are returned by a method named `code`.
    is_returned: bool,
    codes: &'a mut Codes,
}

impl CodeValues<'_> {
    /// Collects `expression`, an argument of the function `name` of `owner`.
    fn collect_argument(&mut self, owner: &str, name: &str, expression: &Expr) {
        let key = (self.krate.clone(), owner.to_owned(), name.to_owned());
        if !self.parameters.ambiguous.contains(&key) || literal(expression).is_some_and(|text| looks_like_code(&text)) {
            self.collect(expression);
        }
    }

    /// Collects the possible values of `expression`.
    fn collect(&mut self, expression: &Expr) {
        match expression {
            Expr::Lit(_) => self.add(literal(expression).unwrap_or_default()),
            Expr::If(branches) => {
                self.collect_block(&branches.then_branch.stmts);
                branches.else_branch.iter().for_each(|(_, other)| self.collect(other));
            }
            Expr::Match(choice) => choice.arms.iter().for_each(|arm| self.collect(&arm.body)),
            Expr::Block(block) => self.collect_block(&block.block.stmts),
            Expr::Reference(inner) => self.collect(&inner.expr),
            Expr::Paren(inner) => self.collect(&inner.expr),
            // A return or `?` does not yield a code; a field or method named `code` is collected elsewhere.
            Expr::Return(_) | Expr::Try(_) => {}
            Expr::Field(field) if matches!(&field.member, syn::Member::Named(name) if name == "code") => {}
            Expr::MethodCall(call) if call.method == "code" => {}
            Expr::MethodCall(call) if call.method == "unwrap_or_else" => self.collect(&call.args[0]),
            Expr::Closure(closure) => self.collect(&closure.body),
            Expr::MethodCall(call) => self.collect(&call.receiver),
            Expr::Path(path) => {
                let name = path.path.segments.last().unwrap().ident.to_string();
                match self.parameters.constants.get(&(self.krate.clone(), name.clone())) {
                    Some(text) => self.add(text.clone()),
                    None if name == "code" => {}
                    None => self.unreadable(&name),
                }
            }
            _ => self.unreadable(&quoted(expression)),
        }
    }

    fn collect_block(&mut self, statements: &[Stmt]) {
        if let Some(Stmt::Expr(last, None)) = statements.last() {
            self.collect(last);
        }
    }

    /// Collects element `position` of the possible tuples of `expression`.
    fn collect_element(&mut self, expression: &Expr, position: usize) {
        match expression {
            Expr::Tuple(tuple) => self.collect(&tuple.elems[position]),
            Expr::Match(choice) => choice.arms.iter().for_each(|arm| self.collect_element(&arm.body, position)),
            Expr::If(branches) => {
                self.collect_element_of_block(&branches.then_branch.stmts, position);
                branches.else_branch.iter().for_each(|(_, other)| self.collect_element(other, position));
            }
            Expr::Block(block) => self.collect_element_of_block(&block.block.stmts, position),
            Expr::Return(_) => {}
            _ => self.unreadable(&quoted(expression)),
        }
    }

    fn collect_element_of_block(&mut self, statements: &[Stmt], position: usize) {
        if let Some(Stmt::Expr(last, None)) = statements.last() {
            self.collect_element(last, position);
        }
    }

    fn add(&mut self, code: String) {
        if looks_like_code(&code) {
            if self.is_returned {
                self.codes.returned.entry(code.clone()).or_default().insert(self.path.to_owned());
            }
            self.codes.places.entry(code).or_default().insert(self.path.to_owned());
        } else {
            self.unreadable(&code);
        }
    }

    fn unreadable(&mut self, value: &str) {
        if OTHER_MEANINGS.iter().any(|(file, _)| self.path.ends_with(file)) {
            return;
        }
        self.codes.unreadable.push(format!("{}: `{value}` is used as a code", self.path));
    }

    /// Returns the index of the code argument of the function at `path`.
    fn argument(&self, path: &syn::Path) -> Option<usize> {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let (name, before) = names.split_last().unwrap();
        let owner = match before.last().map(String::as_str) {
            Some("Self") => self.owner.clone(),
            Some(owner) if owner.starts_with(char::is_uppercase) => owner.to_owned(),
            _ => String::new(),
        };
        let arguments = &self.parameters.arguments;
        let own = arguments.get(&(self.krate.clone(), owner.clone(), name.clone()));
        let elsewhere = || {
            let mut others =
                arguments.iter().filter(|((_, other, its), _)| !owner.is_empty() && *other == owner && its == name);
            others.next().map(|(_, position)| position)
        };
        let closure =
            || self.parameters.closures.get(&(self.path.to_owned(), name.clone())).filter(|_| before.is_empty());
        own.or_else(closure).or_else(elsewhere).copied()
    }
}

impl Visit<'_> for CodeValues<'_> {
    fn visit_item_mod(&mut self, module: &ItemMod) {
        if !module.attrs.iter().any(is_for_tests) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_impl(&mut self, item: &ItemImpl) {
        self.owner = type_name(&item.self_ty);
        visit::visit_item_impl(self, item);
        self.owner.clear();
    }

    fn visit_impl_item_fn(&mut self, item: &ImplItemFn) {
        let returns_text = matches!(&item.sig.output, ReturnType::Type(_, ty) if is_text(ty));
        if item.sig.ident == "code" && returns_text {
            self.is_returned = true;
            self.collect_block(&item.block.stmts);
            self.is_returned = false;
        }
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_expr_call(&mut self, call: &syn::ExprCall) {
        if let Expr::Path(function) = &*call.func
            && let Some(position) = self.argument(&function.path)
            && let Some(code) = call.args.get(position)
        {
            let names: Vec<_> = function.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            let is_free = names.len() < 2 || !names[names.len() - 2].starts_with(char::is_uppercase);
            if is_free { self.collect_argument("", &names[names.len() - 1], code) } else { self.collect(code) }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &syn::ExprMethodCall) {
        let key = (self.krate.clone(), call.method.to_string());
        if let Some(code) = self.parameters.methods.get(&key).and_then(|position| call.args.get(*position)) {
            self.collect_argument(METHOD, &key.1, code);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_field_value(&mut self, field: &syn::FieldValue) {
        if matches!(&field.member, syn::Member::Named(name) if name == "code") && field.colon_token.is_some() {
            self.collect(&field.expr);
        }
        visit::visit_field_value(self, field);
    }

    fn visit_local(&mut self, local: &Local) {
        if let Some(init) = &local.init {
            match &local.pat {
                Pat::Tuple(tuple) => {
                    if let Some(position) = tuple.elems.iter().position(is_code) {
                        self.collect_element(&init.expr, position);
                    }
                }
                pattern if is_code(pattern) => self.collect(&init.expr),
                _ => {}
            }
        }
        visit::visit_local(self, local);
    }
}

fn looks_like_code(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '_')
}

fn is_code(pattern: &Pat) -> bool {
    match pattern {
        Pat::Ident(name) => name.ident == "code",
        Pat::Type(typed) => is_code(&typed.pat),
        _ => false,
    }
}

fn is_text(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => is_text(&reference.elem),
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| ["str", "String"].iter().any(|text| last.ident == text))
        }
        Type::ImplTrait(_) => true,
        _ => false,
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|what| what == "test")
}

pub(crate) fn type_name(ty: &Type) -> String {
    match ty {
        Type::Path(path) => path.path.segments.last().unwrap().ident.to_string(),
        _ => String::new(),
    }
}

fn literal(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

fn quoted(expression: &Expr) -> String {
    match expression {
        Expr::Call(_) => "a call".to_owned(),
        Expr::Macro(_) => "a macro".to_owned(),
        _ => "an expression".to_owned(),
    }
}
